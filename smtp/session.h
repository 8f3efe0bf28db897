/* SPDX-License-Identifier: ISC */
/* One session: the conversation with one client (RFC 5321, RFC 2033). */
#ifndef SMTP_SESSION_H
#define SMTP_SESSION_H

#include "base/vars.h"
#include "smtp/server.h"

/* Who talks to whom, as tcpserver's variables have it.  Texts are borrowed. */
struct smtp_peer {
	const char *remote_ip;   /* "unknown" if it is */
	const char *remote_host; /* NULL: not looked up */
	const char *remote_info; /* NULL: not asked */
	const char *local_ip;    /* "" if unknown */
	const char *local_host;  /* NULL: the node's name */
	int id;                  /* tells sessions apart in the log */
};

/*
 * Serves the connection until it is over.  The descriptors stay the caller's.
 * vars has what access rules set, and may be changed.
 */
void smtp_session_run(struct smtp_server *server, int read_fd, int write_fd,
    const struct smtp_peer *peer, struct vars *vars);

#endif
