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
	const char *user; /* or NULL */
	const char *address;
	bool create_users;
	unsigned queues;
	struct arg_list domains;
	struct arg_list smtp, submission, smtps, lmtp; /* ports */
	struct arg_list relay; /* address prefixes, as tcprules has them */
};

/* Each gives 0 or -1. */
int init_folders(struct maker *maker, struct error *err);
int init_control(
    struct maker *maker, const struct init_options *options, struct error *err);
/* A self-signed certificate, unless there is one. */
int init_tls(
    struct maker *maker, const struct init_options *options, struct error *err);
/* control/tcp.smtp and its cdb. */
int init_rules(
    struct maker *maker, const struct init_options *options, struct error *err);
/* The virtual domains that do not exist yet. */
int init_domains(
    struct maker *maker, const struct init_options *options, struct error *err);

#endif
