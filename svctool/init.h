/* SPDX-License-Identifier: ISC */
/* The parts of svctool init, in the order in which they run. */
#ifndef SVCTOOL_INIT_H
#define SVCTOOL_INIT_H

#include <stdbool.h>

#include "base/error.h"
#include "svctool/args.h"
#include "svctool/make.h"

struct init_options {
	char *me;
	const char *user; /* or NULL: one for each kind of process */
	const char *address;
	bool create_users, has_destdir;
	unsigned queues;
	struct arg_list domains;
	struct arg_list smtp, submission, smtps, lmtp; /* ports */
	struct arg_list relay; /* address prefixes, as tcprules has them */
};

/* Each gives 0 or -1. */

/* Are the values right?  A usage error if not. */
int init_check_options(const struct init_options *options, struct error *err);
/*
 * Can the node be user's (NULL: one for each kind of process)?  Refuses a node
 * that is there already as somebody else's.
 */
int init_check_identity(
    const struct node *node, const char *user, struct error *err);
/* Root's node needs its users; says what is missing, or makes them. */
int init_prepare_users(
    const struct init_options *options, struct maker *maker, struct error *err);

/* With the file that says who the node runs as. */
int init_folders(
    struct maker *maker, const struct init_options *options, struct error *err);
/* Removes temporary files of processes that are no more. */
int init_sweep(struct maker *maker, struct error *err);
int init_control(
    struct maker *maker, const struct init_options *options, struct error *err);
/* A self-signed certificate, unless there is one. */
int init_tls(
    struct maker *maker, const struct init_options *options, struct error *err);
/* control/tcp.smtp and its cdb. */
int init_rules(
    struct maker *maker, const struct init_options *options, struct error *err);
/*
 * The virtual domains that are not there, or not completely; and the node's own
 * name as an alias domain of the first, so that its postmaster gets mail.
 */
int init_domains(
    struct maker *maker, const struct init_options *options, struct error *err);

#endif
