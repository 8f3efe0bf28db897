/* SPDX-License-Identifier: ISC */
/*
 * A daemon around a listener (listener.h): its signals, what it says in the log
 * as tcpserver -v does, and its end.
 *
 * HUP rereads; TERM and INT have it accept no more, wait 15 s for the sessions,
 * and cut off those that still go on.  Every half second it writes the log lines
 * of sessions that take longer (log_batches_tick()).
 */
#ifndef BASE_LISTENER_DAEMON_H
#define BASE_LISTENER_DAEMON_H

#include "base/error.h"
#include "base/listener.h"

struct listener_daemon {
	const char *program; /* in log lines */
	struct listener *listener;
	/* HUP, in the thread of the signals: 0, or -1, and the old stay. */
	int (*reload)(void *context, struct error *err);
	/* Nobody is accepted any more: tells the sessions. */
	void (*stop)(void *context);
	/* Behind "N sessions cut off". */
	const char *cut_off;
	void *context;
	unsigned max_connections; /* for the log; changed by __atomic only */
};

/*
 * Before there are threads: blocks the signals, and asks for all descriptors
 * that we may have, of which each connection takes some.
 */
void listener_daemon_prepare(void);

/* Limits for connections from now on; any thread. */
void listener_daemon_set_limits(
    struct listener_daemon *daemon, const struct listener_limits *limits);

/*
 * Serves until a signal says stop.  An exit code, 111 with the reason; when
 * sessions had to be cut off it exits itself, since their threads still use all
 * that there is.
 */
int listener_daemon_run(
    struct listener_daemon *daemon, const char *address, struct error *err);

/* The number of a thread, as its log lines have it in place of a pid. */
int listener_daemon_id(void);

/*
 * tcpserver -v's lines, which log tools follow: verdict is "ok" or "deny", name
 * the host's own, remote_name the client's or "".
 */
void listener_daemon_log_start(struct listener_daemon *daemon,
    const struct listener_peer *peer, const char *name, const char *remote_name,
    const char *verdict);
void listener_daemon_log_end(struct listener_daemon *daemon, int status);
/* A client over a limit. */
void listener_daemon_log_refused(const struct listener_daemon *daemon,
    const struct listener_peer *peer, bool is_per_ip);

#endif
