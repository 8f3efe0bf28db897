/* SPDX-License-Identifier: ISC */
/*
 * Hosts that do not answer, so that they are left alone for a while: a small
 * table, run/tcpto, for all queues and processes of a node.
 *
 * Any thread may ask and note.  The table forgets rather than grows, and one
 * that cannot be read or written says that no host is blocked: mail is only
 * tried more often then.
 */
#ifndef REMOTE_TCPTO_H
#define REMOTE_TCPTO_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/error.h"
#include "control/settings.h"
#include "control/smtproutes.h"

struct tcpto;

/*
 * 1 and *tcpto_out, to look only or also to change; 0 when there is no such
 * file (svctool init makes it); -1 with errno and the reason.
 */
int tcpto_open(const char *path, bool is_to_change, struct tcpto **tcpto_out,
    struct error *err);
void tcpto_free(struct tcpto **tcpto);

struct tcpto_limits {
	unsigned penalty; /* failures; 0: never blocked */
	unsigned tolerance_s, wait_s;
};

/* Of the settings tcptopenalty and so on, and what the route says instead. */
struct tcpto_limits tcpto_limits(
    const struct settings *settings, const struct smtproute *route);

/* Is it to be left alone at now_s (of time(2))?  Address and port count. */
bool tcpto_is_blocked(struct tcpto *tcpto, const struct sockaddr *address,
    const struct tcpto_limits *limits, int64_t now_s);

/* A try to connect ended: with a failure (time-out, refused), or well. */
void tcpto_note(struct tcpto *tcpto, const struct sockaddr *address,
    bool has_failed, const struct tcpto_limits *limits, int64_t now_s);

struct tcpto_entry {
	struct sockaddr_storage address;
	unsigned failures;
	int64_t failed_at_s;
};

/* How many seconds it is still blocked for, 0: not at all. */
unsigned tcpto_left_s(const struct tcpto_entry *entry,
    const struct tcpto_limits *limits, int64_t now_s);

/* All entries.  0, or -1 with the reason. */
int tcpto_walk(struct tcpto *tcpto,
    void (*each)(const struct tcpto_entry *entry, void *context), void *context,
    struct error *err);
/* Forgets one address, or (NULL) all.  0, or -1 with the reason. */
int tcpto_forget(
    struct tcpto *tcpto, const struct sockaddr *address, struct error *err);

#endif
