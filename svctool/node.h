/* SPDX-License-Identifier: ISC */
/*
 * The node that svctool works on: where it is, and which services and queues
 * it has.
 */
#ifndef SVCTOOL_NODE_H
#define SVCTOOL_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"
#include "control/home.h"
#include "control/layout.h"
#include "svctool/args.h"

struct node {
	struct home *home; /* paths as the node's programs see them */
	char *destdir;     /* node_path() puts it in front; "" mostly */
	char *programs;    /* the folder of svctool's companions */
	char *global_vars; /* environment of every service, a folder */
};

/*
 * home_root NULL: MQMAIL_HOME or the default; destdir NULL: none.  Relative
 * paths are made absolute.  Also takes over the node's global_vars, and sets
 * MQMAIL_HOME, in the environment, so that the programs that svctool runs see
 * the same node.  NULL with the reason.
 */
struct node *node_new(
    const char *home_root, const char *destdir, struct error *err);
void node_free(struct node **node);

/* Where svctool itself finds a path of the node.  The caller frees. */
char *node_path(const struct node *node, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The same of a row's path (layout_path()). */
char *node_layout_path(const struct node *node, enum layout_id id, ...);

/*
 * Is there a node: its host name or a service?  False with the reason and
 * remedy.
 */
bool node_exists(const struct node *node, struct error *err);

/* Is there control/me, without which nothing starts?  False with the remedy. */
bool node_has_name(const struct node *node, struct error *err);

/*
 * Is it ours to run and to judge: are we root, or the owner of its folder?  A
 * stranger sees too little of it to say anything true.  False with the reason.
 */
bool node_is_ours(const struct node *node, struct error *err);

/*
 * Is it an ordinary user's, who runs all of it?  Of a node of root's just one
 * folder may have got another owner.
 */
bool node_is_users(const struct node *node, uid_t *uid_out, gid_t *gid_out);

/*
 * May we start its programs?  As node_is_ours(), but root does not start those
 * that an ordinary user can change.  False with the reason.
 */
bool node_is_ours_to_start(const struct node *node, struct error *err);

/*
 * Names of the services, or of the queues, sorted as people count (queue2
 * before queue10).  A node without the folder has none.  0 or -1.
 */
int node_services(
    const struct node *node, struct strlist *names_out, struct error *err);
int node_queues(
    const struct node *node, struct strlist *names_out, struct error *err);

/* What an operator calls a queue: "3" means "queue3".  The caller frees. */
char *node_queue_name(const char *word);

/* One variable of a service, or "" when there is none; the caller frees. */
char *node_variable(
    const struct node *node, const char *service, const char *name);

/* One of all services, as its file has it; NULL: none.  The caller frees. */
char *node_global_variable(const struct node *node, const char *name);

/* Is it a listener, as its name says (qmail-smtpd.25, qmail-pop3d.110)? */
bool node_is_listener(const char *service);
bool node_is_pop3(const char *service);

/* The service that asks the DNS for all others. */
extern const char node_resolver_service[];
bool node_is_resolver(const char *service);
/* The one that sends mail to other hosts. */
extern const char node_remote_service[];
bool node_is_remote(const char *service);
/* The one that knows the users of a database. */
extern const char node_lookup_service[];
bool node_is_lookup(const char *service);
/* The one that keeps the node's place in its cluster. */
extern const char node_cluster_service[];
bool node_is_cluster(const char *service);
/* The one of administrators from afar. */
extern const char node_admin_service[];
bool node_is_admin(const char *service);
/* The one that does work on files for its stores. */
extern const char node_tasks_service[];
/* Dovecot, where there is one for this node. */
extern const char node_imap_service[];
bool node_is_imap(const char *service);
/* The node's own database. */
extern const char node_pgsql_service[];

/* One of those that svctool makes, and not the operator's own? */
bool node_is_made_service(const struct node *node, const char *service);

#endif
