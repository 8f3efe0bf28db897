/* SPDX-License-Identifier: ISC */
/*
 * Accepts connections and runs each on a thread of its own.
 *
 * The thread that accepts a connection serves it, and another accepts the
 * next one: so a connection costs no hand-over while threads are idle.
 * The callbacks are called from several threads at once; what they share is
 * theirs to protect.  The limits count connections of this listener.  Signals
 * are blocked in sessions' threads; threads are used again by later sessions.
 */
#ifndef BASE_LISTENER_H
#define BASE_LISTENER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/error.h"

/* Both ends of a connection, as text ("::1", "127.0.0.1", never v4-mapped). */
struct listener_peer {
	char remote_ip[64];
	char local_ip[64];
	uint16_t remote_port;
	uint16_t local_port;
};

struct listener_limits {
	unsigned max_connections; /* in all */
	unsigned max_per_ip;      /* per remote address; 0: no limit */
};

struct listener_options {
	/*
	 * Numeric; "0" or "" for every address, of IPv4 and IPv6.  "::" is
	 * IPv6 alone, so that "0.0.0.0" may be served beside it.
	 */
	const char *address;
	uint16_t port;      /* 0: the kernel picks, see listener_port() */
	bool is_shared;     /* SO_REUSEPORT: several processes, one port */
	size_t stack_bytes; /* of a session's thread */
	struct listener_limits limits;
	/*
	 * Serves one connection; returns when it is over.  The descriptor is
	 * the listener's, which closes it afterwards; when input is unread
	 * it reads that first (at most 64 KB, 1 s; still counted), so that the
	 * last reply is not lost to a reset.
	 */
	void (*serve)(int fd, const struct listener_peer *peer, void *context);
	/*
	 * Says no to a connection over a limit (per address or total), on an
	 * accepting thread: one short non-blocking write at most.
	 */
	void (*refuse)(int fd, const struct listener_peer *peer, bool is_per_ip,
	    void *context);
	void *context;
};

struct listener;

/*
 * Binds and listens; NULL with the reason (a busy port is named).  The options
 * are copied, the context is borrowed.
 */
struct listener *listener_new(
    const struct listener_options *options, struct error *err);
/*
 * After listener_run has returned.  Waits for the sessions that are still
 * served: a daemon that cannot exits instead.
 */
void listener_free(struct listener **listener);

uint16_t listener_port(const struct listener *listener);

/* Limits for connections from now on; any thread. */
void listener_set_limits(
    struct listener *listener, const struct listener_limits *limits);

/* How many connections are being served; any thread. */
unsigned listener_connections(struct listener *listener);

/*
 * Accepts until listener_stop() (async-signal-safe, any thread).  EMFILE,
 * ENFILE and ENOMEM pause accepting briefly, with one log line per minute, and
 * never end it.  New connections wait in the backlog meanwhile.  One that
 * cannot get a thread is refused (not per address).  When it returns nobody
 * listens any more: new clients are refused by the kernel.
 */
void listener_run(struct listener *listener);
void listener_stop(struct listener *listener);

/* After listener_run: waits up to timeout_ms for the sessions to end. */
bool listener_drain(struct listener *listener, int timeout_ms);

#endif
