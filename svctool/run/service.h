/* SPDX-License-Identifier: ISC */
/*
 * The services of a node: daemontools folders with run, log/run and
 * variables/.
 */
#ifndef SVCTOOL_RUN_SERVICE_H
#define SVCTOOL_RUN_SERVICE_H

#include "base/error.h"
#include "svctool/make.h"
#include "svctool/run/ports.h"

/* One queue: its folder by queue-fix, and its service.  0 or -1. */
int service_make_queue(
    struct maker *maker, const char *name, struct error *err);

/* The one that asks the DNS.  0 or -1. */
int service_make_resolver(struct maker *maker, struct error *err);
/* The one that sends mail to other hosts.  0 or -1. */
int service_make_remote(struct maker *maker, struct error *err);
/* The one that asks the database of users.  0 or -1. */
int service_make_lookup(struct maker *maker, struct error *err);
/* The one that keeps the node's place in its cluster.  0 or -1. */
int service_make_cluster(struct maker *maker, struct error *err);
int service_make_tasks(struct maker *maker, struct error *err);

/* The one of administrators from afar.  0 or -1. */
int service_make_admin(struct maker *maker, struct error *err);

/* The one that runs Dovecot, with the configuration conf.  0 or -1. */
int service_make_imap(struct maker *maker, const char *dovecot,
    const char *conf, struct error *err);

/*
 * The one of a node's own database: programs is the server's folder, user NULL:
 * who starts it.  0 or -1.
 */
int service_make_pgsql(struct maker *maker, const char *user,
    const char *programs, const char *data, struct error *err);

/* What a listener speaks. */
enum listener_kind {
	LISTENER_SMTP,
	LISTENER_SUBMISSION,
	LISTENER_SUBMISSIONS, /* RFC 8314: TLS first */
	LISTENER_ODMR,        /* RFC 2645 */
	LISTENER_NODE,        /* for the other nodes of the cluster */
	LISTENER_SMTPS,
	LISTENER_LMTP,
	LISTENER_QMTP,
	LISTENER_QMQP,
	LISTENER_POP3,
	LISTENER_POP3S
};

/* Its service, named after its program and port; the caller frees. */
char *service_listener_name(
    enum listener_kind kind, const struct port_address *address);

/* One listener.  0 or -1. */
int service_make_listener(struct maker *maker, enum listener_kind kind,
    const struct port_address *address, struct error *err);

/* The run files of a listener that is there, under the name it has.  0 or -1.
 */
int service_complete_listener(
    struct maker *maker, const char *name, struct error *err);

/*
 * Ends a service and its logger and removes its folder, within timeout_s; its
 * log stays.  0, also when there is none; -1.
 */
int service_remove(const struct node *node, const char *name,
    unsigned timeout_s, struct error *err);

/*
 * Sends a service HUP; not running is no failure.  Says what it did.  0 or -1.
 */
int service_hangup(
    const struct node *node, const char *name, struct error *err);

#endif
