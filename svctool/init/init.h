/* SPDX-License-Identifier: ISC */
/* The parts of svctool init, in the order in which they run. */
#ifndef SVCTOOL_INIT_INIT_H
#define SVCTOOL_INIT_INIT_H

#include <stdbool.h>

#include "adminsrv/names.h"
#include "base/error.h"
#include "svctool/args.h"
#include "svctool/make.h"
#include "svctool/run/service.h"

enum {
	INIT_UNSAID = 0x7fffffff, /* of queues: no option says */
	INIT_QUEUES_STANDARD = 2,
	INIT_QUEUE_START = 1
};

struct init_options {
	char *me;         /* NULL: not said */
	const char *user; /* or NULL: one for each kind of process */
	const char *address;
	bool create_users, has_destdir, has_address;
	unsigned queues, queue_start;
	bool is_existing;    /* a node with services is there already */
	bool has_other_base; /* its queues are not in its own folder */
	struct strlist domains;
	/* ports */
	struct strlist smtp, submission, submissions, odmr, smtps, lmtp;
	struct strlist qmtp, qmqp, pop3, pop3s;
	const char *imap, *imaps; /* ADDRESS:PORT, or NULL */
	const char *admin, *api;  /* the same */
	struct strlist relay; /* address prefixes, as tcprules has them */
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
/*
 * Takes over what a node that is there already says: its name, and the queues
 * that are counted.  Refuses more queues, which init would not count.
 */
int init_take_existing(
    const struct node *node, struct init_options *options, struct error *err);
/*
 * Names each option that changes nothing, as what is there stays as it is, and
 * says what to do instead.  With the options as they were given.
 */
void init_say_unused(
    const struct node *node, const struct init_options *options);
/* The name in control/me: 1; 0 there is none; -1. */
int init_read_me(
    const struct node *node, char me_out[NAMES_DOMAIN_SIZE], struct error *err);
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
/*
 * The service imap and its files, when it is asked for or there is one, whose
 * files are made anew.
 */
int init_imap(
    struct maker *maker, const struct init_options *options, struct error *err);
/* What is missing of the services that are there. */
int init_complete_services(struct maker *maker, struct error *err);
/* control/tcp.smtp and its cdb. */
int init_rules(
    struct maker *maker, const struct init_options *options, struct error *err);
/*
 * The virtual domains that are not there, or not completely; and the node's own
 * name as an alias domain of the first, so that its postmaster gets mail.
 */
int init_domains(
    struct maker *maker, const struct init_options *options, struct error *err);

/* How many of them the system lacks; -1 could not tell. */
int users_missing(struct error *err);

/*
 * Prints the commands that make the missing ones (is_dry), or runs them, each
 * said.  0 or -1.
 */
int users_create(bool is_dry, struct error *err);

#endif
