/* SPDX-License-Identifier: ISC */
/*
 * The system users that a node's processes run as.
 *
 * A process that does not start as root stays what it is: a node of an
 * ordinary user runs everything as that user.  One that starts as root becomes
 * the user of its role.  The environment variable MQMAIL_USER names one user
 * for every role instead; svctool writes it into the services of a node that
 * was made with --user.
 */
#ifndef CONTROL_IDENTITY_H
#define CONTROL_IDENTITY_H

#include <sys/types.h>

#include "base/error.h"

enum identity_role {
	IDENTITY_SMTPD,    /* qmaild: qmail-smtpd */
	IDENTITY_QUEUE,    /* qmailq: qmail-send, the queue's files */
	IDENTITY_VIRTUAL,  /* vmail: qmail-vdeliver, virtual users' Maildirs */
	IDENTITY_LOG,      /* qmaill: multilog */
	IDENTITY_REMOTE,   /* qmailr: remote delivery */
	IDENTITY_RESOLVER, /* mqresolve: resolverd */
	IDENTITY_LOOKUP,   /* mqlookup: lookupd */
	IDENTITY_CLUSTER,  /* mqcluster: clusterd */
	IDENTITY_ADMIN,    /* mqadmin: adminsrv */
	IDENTITY_PROXY,    /* mqproxy: proxyimap, proxypop3 */
	IDENTITY_COUNT
};

struct identity {
	const char *name; /* borrowed, for the life of the process */
	uid_t uid;
	gid_t gid;
};

/* The user's name of a role: MQMAIL_USER, or the role's own. */
const char *identity_name(enum identity_role role);

/*
 * The user of a role's processes: the current one unless that is root.  1; 0 if
 * the system has no such user; -1 when it could not tell.  The reason is set
 * for both, and names what to do.
 */
int identity_find(
    enum identity_role role, struct identity *identity_out, struct error *err);

/*
 * The user id of another role's processes on this node, for a process that runs
 * as the role self: a node whose processes all are one user's has that one.
 * When the system cannot tell, the answer is the current user.
 */
uid_t identity_peer(enum identity_role self, enum identity_role role);

/*
 * Becomes the role's user for good, as user_become() in base/process.h says.
 * Does nothing when the process is not root's.  0, or -1 with the reason.
 */
int identity_become(enum identity_role role, struct error *err);
/*
 * The same, as a member of this group too, if there is such a one: what one
 * program of a role needs, and the others do not get.
 */
int identity_become_in(
    enum identity_role role, const char *group, struct error *err);

#endif
