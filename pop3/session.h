/* SPDX-License-Identifier: ISC */
/* One POP3 session. */
#ifndef POP3_SESSION_H
#define POP3_SESSION_H

#include "base/stream.h"
#include "base/vars.h"
#include "pop3/server.h"

struct pop3_peer {
	const char *remote_ip; /* "unknown" if so */
	const char *local_ip;
	int id; /* stands for the session in log lines */
	const struct vars *vars; /* over the environment; not NULL */
};

/*
 * Lets a user in with what he has sent: a password, or with a timestamp (not
 * "") the digest of APOP.  Either the session has its maildrop then, or it has
 * said why not, or served the rest by another program and is over.
 */
struct pop3_session;
typedef void pop3_let_in(struct pop3_session *session, const char *name,
    const char *secret, const char *timestamp);

/* By the user store of the server, which is a listener's. */
pop3_let_in pop3_let_in_user;

struct pop3_options {
	/* NULL: he was let in already, to the Maildir at this path. */
	pop3_let_in *let_in;
	const char *maildir;
	const char *user; /* then for log lines */
	const char *host; /* of the greeting */
	void *context;    /* of let_in */
};

/* Serves one connection until it is over; closes nothing. */
void pop3_session_run(struct pop3_server *server, int read_fd, int write_fd,
    const struct pop3_peer *peer, const struct pop3_options *options);

#endif
