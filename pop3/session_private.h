/* SPDX-License-Identifier: ISC */
/* What the files of one session share; nobody else includes this. */
#ifndef POP3_SESSION_PRIVATE_H
#define POP3_SESSION_PRIVATE_H

#include "pop3/command.h"
#include "pop3/maildrop.h"
#include "pop3/session.h"

enum {
	POP3_ERRORS_MAX = 20,  /* of syntax and sequence */
	POP3_REFUSALS_MAX = 4, /* failed logins of one session */
	POP3_HANDSHAKE_MS = 60 * 1000,
	/* What a session takes of sessionmemory, and more of it with TLS. */
	POP3_SESSION_BYTES = 64 * 1024,
	POP3_TLS_BYTES = 64 * 1024
};

struct pop3_session {
	struct pop3_server *server;
	struct pop3_config *config;
	const struct pop3_options *options;
	const struct pop3_peer *peer;
	struct stream *stream;
	struct pop3_presence presence;
	uint64_t taken_bytes;
	char timestamp[300];              /* of APOP: "<...>", or "" */
	char user[LOGIN_ADDRESS_MAX + 2]; /* of USER: "" before; may be cut */
	char address[LOGIN_ADDRESS_MAX + 1];
	bool is_in; /* the TRANSACTION state */
	bool is_over;
	unsigned errors, refusals;
	struct maildrop maildrop; /* if so */
	char *user_dir; /* which holds it; NULL: not known */
	size_t last;              /* highest number that was looked at */
	size_t sent_count;
	uint64_t sent_bytes;
	struct pop3_command command; /* the one that is served */
};

/* One line; a code of RFC 2449 8 may stand first in the text. */
void pop3_ok(struct pop3_session *session, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void pop3_error(struct pop3_session *session, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The same for what a client does wrong: too many of these end it. */
void pop3_fault(struct pop3_session *session, const char *text);
void pop3_log(struct pop3_session *session, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* May a password come over this connection? */
bool pop3_is_private(const struct pop3_session *session);
/*
 * Puts the names of what AUTH offers here, with a blank between; false:
 * nothing.
 */
bool pop3_put_mechanisms(struct pop3_session *session, struct buf *buf);
/* False when there is no memory for it (sessionmemory). */
bool pop3_take_memory(struct pop3_session *session, uint64_t bytes);
/* The next line, into command.  False: the session is over, or it was none. */
bool pop3_read_command(struct pop3_session *session);
/* A maildrop was opened: its user may use it from now on. */
void pop3_begin_transaction(struct pop3_session *session);

void pop3_cmd_user(struct pop3_session *session);
void pop3_cmd_pass(struct pop3_session *session);
void pop3_cmd_apop(struct pop3_session *session);
void pop3_cmd_auth(struct pop3_session *session);
void pop3_cmd_stls(struct pop3_session *session);
void pop3_cmd_capa(struct pop3_session *session);
void pop3_cmd_utf8(struct pop3_session *session);
void pop3_cmd_noop(struct pop3_session *session);
void pop3_cmd_quit(struct pop3_session *session);
void pop3_cmd_stat(struct pop3_session *session);
void pop3_cmd_list(struct pop3_session *session);
void pop3_cmd_uidl(struct pop3_session *session);
void pop3_cmd_retr(struct pop3_session *session);
void pop3_cmd_top(struct pop3_session *session);
void pop3_cmd_dele(struct pop3_session *session);
void pop3_cmd_rset(struct pop3_session *session);
void pop3_cmd_last(struct pop3_session *session);

#endif
