/* SPDX-License-Identifier: ISC */
/* Inside a session: for the files that hold the conversation. */
#ifndef REMOTE_SESSION_PRIVATE_H
#define REMOTE_SESSION_PRIVATE_H

#include <netinet/in.h>

#include "base/stream.h"
#include "control/cluster_nodes.h"
#include "remote/hello.h"
#include "remote/session.h"

struct session {
	struct session_options options;
	int fd;
	struct stream *stream;
	/* the peer's, for texts; of a node "NAME (IP)" */
	char ip[INET6_ADDRSTRLEN + CLUSTER_NODE_NAME_MAX + 4];
	char tls_text[200];
	enum tls_failure tls_failure; /* NONE: there is none that is known */
	struct hello hello;
	bool tries_tls, may_resume_tls;
	bool is_over;        /* nothing can be asked any more */
	bool needs_reset;    /* a transaction was begun and not ended */
	unsigned mail_count; /* transactions begun */
};

/*
 * The steps of session_open(), of a socket that is connected.  session_attach:
 * takes it.  session_greet: through AUTH; 0, or -1 with *failure_out.
 */
struct session *session_attach(int fd, const struct session_options *options);
int session_greet(struct session *session, struct session_result *failure_out);

/* Begins the time that this may take in all. */
void session_set_limit(struct session *session);

/* Reads one reply.  Anything but REPLY_OK, and a 421, ends the session. */
enum reply_result session_read(struct session *session, struct reply *reply_out,
    void (*each)(const char *line, void *context), void *context);

/*
 * Where no reply is awaited: has the host said nothing more?  But it may say 421
 * at any time (RFC 5321 3.8).
 */
bool session_is_in_step(const struct session *session);

/* Puts a command, its CRLF added, into the output. */
void session_put(struct session *session, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The outcome that a code other than the wanted means. */
enum session_outcome session_outcome_of(const struct reply *reply);

/*
 * Makes a result.  session_fill: of a reply; "IP phrase.\nRemote host said:
 * ...".  prefix is "Connected to " or "".  session_fill_lost: there was none;
 * is_sent: it may have the message.  session_fill_text: of ours, ends with a
 * code and LF.
 */
void session_fill(const struct session *session, struct session_result *result,
    enum session_outcome outcome, enum session_stage stage,
    const struct reply *reply, const char *prefix, const char *phrase);
void session_fill_lost(const struct session *session,
    struct session_result *result, enum session_stage stage, bool is_sent,
    enum reply_result why, const struct reply *reply);
void session_fill_text(struct session_result *result,
    enum session_outcome outcome, enum session_stage stage, const char *format,
    ...) __attribute__((format(printf, 4, 5)));

/* AUTH, with the options' credentials.  0, or -1 with *failure_out. */
int session_authenticate(
    struct session *session, struct session_result *failure_out);

/* One message.  SMTP, LMTP; and QMTP. */
void session_send_smtp(struct session *session,
    const struct session_message *message, struct session_result *results_out);
void session_send_qmtp(struct session *session,
    const struct session_message *message, struct session_result *results_out);

#endif
