/* SPDX-License-Identifier: ISC */
/* A session from the inside: for the files of the verbs and policies. */
#ifndef SMTP_SESSION_PRIVATE_H
#define SMTP_SESSION_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "auth/login.h"
#include "base/arena.h"
#include "base/stream.h"
#include "base/vars.h"
#include "control/cluster_nodes.h"
#include "queue/sink.h"
#include "smtp/address.h"
#include "smtp/body.h"
#include "smtp/hops.h"
#include "smtp/originate.h"
#include "smtp/params.h"
#include "smtp/session.h"

enum {
	SMTP_HELO_MAX = 255,
	/* What a session may do wrong between two accepted messages. */
	SMTP_ERRORS_MAX = 20,
	SMTP_BAD_RECIPIENTS_MAX = 100, /* MAX_RCPT_ERRCOUNT is another */
	/* Failed logins; MAX_FAIL_ATTEMPTS is another. */
	SMTP_REFUSALS_MAX = 3,
	/* What it may try in between while no queue takes any. */
	SMTP_DEFERRED_RECIPIENTS_MAX = 100,
	/* Memory for the recipients of one transaction. */
	SMTP_RECIPIENTS_BYTES_MAX = 1024 * 1024,
	/*
	 * What counts as used of sessionmemory, on top of recipients: by a
	 * session (its stack, and buffers for commands), by TLS, and while a
	 * message comes in (larger buffers here, and what the sink keeps of
	 * it; more when it is larger than SMTP_SMALL_BYTES).
	 */
	SMTP_SESSION_BYTES = 32 * 1024,
	SMTP_TLS_BYTES = 64 * 1024,
	SMTP_MESSAGE_BYTES = 96 * 1024,
	SMTP_SMALL_BYTES = 16 * 1024,
	SMTP_LARGE_BYTES = 2 * SINK_HELD_MAX,
	/* A further recipient beside its text. */
	SMTP_RECIPIENT_BYTES = 64
};

/* With the status 4.3.1, to what needs memory of sessionmemory. */
#define SMTP_NO_MEMORY "sorry, I am short of memory, try again later"

/* Why a message is not taken. */
enum smtp_refusal {
	SMTP_REFUSAL_NONE,
	SMTP_REFUSAL_BARE_LF,
	SMTP_REFUSAL_SIZE,
	SMTP_REFUSAL_HOPS,
	SMTP_REFUSAL_AUTHOR,         /* From or Sender is not the user's */
	SMTP_REFUSAL_AUTHOR_UNKNOWN, /* ... could not be told */
	SMTP_REFUSAL_SINK /* sink_result says why */
};

/* The message of a transaction while it comes in. */
struct smtp_message {
	struct smtp_body body;
	struct originate originate; /* of submission, if is_originated */
	bool is_originated;
	struct smtp_hops hops;
	uint64_t size_bytes; /* as stored, without our Received field */
	uint64_t max_bytes;  /* as RFC 1870 counts; UINT64_MAX: no limit */
	bool allows_bare_lf;
	bool is_large;   /* SMTP_LARGE_BYTES were asked for */
	int sink_result; /* enum qq */
	int has_own_authors; /* when all is read: 1, 0, -1 could not tell */
	/* Once a chunk was refused, so are all that follow. */
	enum smtp_refusal refusal;
	time_t when;
	unsigned long qp;
	struct uuid uuid; /* none when no sink could be opened */
};

struct smtp_recipient {
	const char *address;
	const char *dsn; /* NOTIFY and ORCPT, as dsn.h has them */
	bool is_relayed; /* taken only because of RELAYCLIENT */
};

/* From MAIL to the end of DATA; zeroed in between. */
struct smtp_transaction {
	bool is_open;   /* MAIL was accepted */
	bool has_chunk; /* BDAT has begun */
	bool is_utf8;
	struct uuid uuid;      /* as a node calls the message, or none */
	unsigned cluster_hops; /* 0: it comes from no node */
	struct arena arena;    /* for all texts */
	const char *sender;
	const char *dsn; /* RET and ENVID, as dsn.h has them */
	struct smtp_recipient *recipients;
	size_t recipient_count, recipient_room, recipient_bytes;
	uint64_t taken_bytes; /* of sessionmemory */
	uint64_t max_bytes, max_recipients;
	uint64_t declared_bytes; /* SIZE of MAIL; 0: unknown */
	struct vars vars; /* the session's, and what rules set; if has_vars */
	bool has_vars;
	struct sink *sink;
	struct smtp_message message;
};

struct smtp_session {
	struct smtp_server *server;
	const struct smtp_kind *kind;
	struct smtp_config *config;
	struct stream *stream;
	const struct smtp_peer *peer;
	struct vars *vars;
	struct smtp_presence presence;
	/* What the client has said; forgotten at STARTTLS. */
	char helo[SMTP_HELO_MAX + 1];
	bool has_hello;
	bool is_extended; /* EHLO or LHLO */
	bool has_status;  /* ... and was offered ENHANCEDSTATUSCODES */
	/* Who has logged in, how, and his address as logs and replies have it
	 * (or the name that failed last). */
	struct login_user user; /* if mechanism != NULL */
	const char *mechanism;
	char auth_name[LOGIN_ADDRESS_MAX + 1];
	char node[CLUSTER_NODE_NAME_MAX + 1]; /* who it is, or "" */
	unsigned refusals; /* of logins */
	unsigned errors;
	unsigned bad_recipients;
	unsigned deferred_recipients; /* for want of a queue */
	uint64_t taken_bytes; /* of sessionmemory, without the transaction's */
	struct smtp_transaction transaction;
	/* Of packages: in place of replies, the first one as K, Z or D and its
	 * text; "" when there was none.  NULL: replies go to the client. */
	char *answer; /* SMTP_REPLY_MAX bytes and one */
	bool is_over;
};

/* session.c */
/*
 * Sends one line: code, the enhanced status if the client was told of those,
 * and the text; 4yz and 5yz replies end in the status in qmail's form,
 * (#5.7.1).
 */
void smtp_reply(struct smtp_session *session, int code, const char *status,
    const char *format, ...) __attribute__((format(printf, 4, 5)));
/* The same for a line that others follow, or whose text has its own status. */
void smtp_reply_line(struct smtp_session *session, int code, bool is_last,
    const char *status, const char *text);
/* Waits for a client between packages.  False: none comes, the session is over.
 */
bool smtp_session_await(struct smtp_session *session);
/* A reply to something that counts as a mistake of the client. */
void smtp_reply_error(struct smtp_session *session, int code,
    const char *status, const char *text);
/* The input has ended or failed: logs it, tells the client if it may hear. */
void smtp_session_lost(struct smtp_session *session, enum stream_result result);

/*
 * Takes memory of sessionmemory and adds it to *taken, which is one of the
 * session's two.  False, and logged, when there is none.
 */
bool smtp_session_take_memory(
    struct smtp_session *session, uint64_t bytes, uint64_t *taken);

/* log.c: "qmail-smtpd: pid P from IP ..." */
void smtp_log(const struct smtp_session *session, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/*
 * "what: MAIL from <sender> RCPT <recipient> more"; recipient_word is "RCPT"
 * or "Last RCPT".  recipient and more may be NULL.
 */
void smtp_log_refused(const struct smtp_session *session, const char *what,
    const char *recipient_word, const char *recipient, const char *more);
/* "data size exceeded: MAIL from <sender> Size: N limit: N". */
void smtp_log_too_large(const struct smtp_session *session, uint64_t size_bytes,
    uint64_t limit_bytes);
/* "syntax error: COMMAND <text>", of a client's line or part of one. */
void smtp_log_syntax(
    const struct smtp_session *session, const char *text, size_t length);
/* One line per recipient: accepted (QQ_OK), and where it is; or why not. */
void smtp_log_result(const struct smtp_session *session, int result,
    const struct sink_outcome *outcome);

/* transaction.c */
void smtp_transaction_reset(struct smtp_session *session);
/* The variables of the transaction, or of the session outside of one. */
struct vars *smtp_transaction_vars(struct smtp_session *session);
/* The same, but about to be changed: a copy from now on. */
struct vars *smtp_transaction_own_vars(struct smtp_session *session);
/* A number of the variables over standard.  0, or -1 when it is none. */
int smtp_transaction_number(struct smtp_session *session, const char *name,
    uint64_t standard, uint64_t *value_out);
/* databytes and maxrecipients.  Replies when they cannot be told. */
bool smtp_transaction_set_limits(struct smtp_session *session);
void smtp_transaction_add(struct smtp_session *session, const char *address,
    const char *dsn, bool is_relayed);
/* Why no message can come now; NULL when it can. */
const char *smtp_transaction_obstacle(const struct smtp_session *session);
/*
 * Are RFC 3461's parameters offered, which a program that QMAILQUEUE names
 * would not get?  And REQUIRETLS, which is one for what came by TLS?  For how
 * long may a submission be held (RFC 4865); 0: that is not offered?
 */
bool smtp_session_has_dsn(const struct smtp_session *session);
bool smtp_session_has_requiretls(const struct smtp_session *session);
uint64_t smtp_session_longest_hold(struct smtp_session *session);
/* Opens the sink if it is not yet.  enum qq. */
int smtp_transaction_open_sink(struct smtp_session *session);
/* The reply for a result of the sink; text as from qq_text(). */
void smtp_reply_qq(struct smtp_session *session, int result, const char *text);

/* message.c */
/* Begins to store.  False when it cannot: sink_result says why. */
bool smtp_message_begin(struct smtp_session *session, bool is_dotted);
/*
 * What is wrong with it so far was said (true).  Nothing more is stored then,
 * but the transaction goes on, for the chunks that may follow.
 */
bool smtp_message_refuse(struct smtp_session *session);
/*
 * The whole message is there: commits and replies, to LMTP once for each
 * recipient; the transaction is over.
 */
void smtp_message_finish(struct smtp_session *session);

/* verbs.c */
/* Does what the line asks for. */
void smtp_dispatch(struct smtp_session *session, const struct smtp_line *line);
/* The reply to whom has not said HELO, EHLO or LHLO. */
const char *smtp_no_hello(const struct smtp_session *session);
/* All verbs of this kind of server, with a blank between. */
void smtp_verbs_put(const struct smtp_session *session, struct buf *buf);

/* Who has logged in; NULL: nobody. */
static inline const struct login_user *
smtp_session_user(const struct smtp_session *session)
{
	return session->mechanism != NULL ? &session->user : NULL;
}

/*
 * cmd_auth.c: puts the names of what AUTH offers here, with a blank between;
 * false: nothing.
 */
bool smtp_session_put_auth(struct smtp_session *session, struct buf *buf);
/* How long a command may be now, with its line end. */
size_t smtp_session_line_max(struct smtp_session *session);

/* cmd_etrn.c: is there a node that may be asked for? */
bool smtp_session_has_etrn(const struct smtp_session *session);

/* cmd_*.c: one for each verb; the argument is the line's. */
void smtp_cmd_atrn(struct smtp_session *session, const struct smtp_line *line);
void smtp_cmd_auth(struct smtp_session *session, const struct smtp_line *line);
void smtp_cmd_bdat(struct smtp_session *session, const struct smtp_line *line);
void smtp_cmd_data(struct smtp_session *session, const struct smtp_line *line);
void smtp_cmd_ehlo(struct smtp_session *session, const struct smtp_line *line);
void smtp_cmd_etrn(struct smtp_session *session, const struct smtp_line *line);
void smtp_cmd_helo(struct smtp_session *session, const struct smtp_line *line);
void smtp_cmd_help(struct smtp_session *session, const struct smtp_line *line);
void smtp_cmd_mail(struct smtp_session *session, const struct smtp_line *line);
void smtp_cmd_noop(struct smtp_session *session, const struct smtp_line *line);
void smtp_cmd_not_smtp(
    struct smtp_session *session, const struct smtp_line *line);
void smtp_cmd_quit(struct smtp_session *session, const struct smtp_line *line);
void smtp_cmd_rcpt(struct smtp_session *session, const struct smtp_line *line);
void smtp_cmd_rset(struct smtp_session *session, const struct smtp_line *line);
void smtp_cmd_starttls(
    struct smtp_session *session, const struct smtp_line *line);
void smtp_cmd_unsupported(
    struct smtp_session *session, const struct smtp_line *line);
void smtp_cmd_vrfy(struct smtp_session *session, const struct smtp_line *line);

/*
 * cmd_mail.c: reads "FROM:" or "TO:" and the path behind it, and replies if
 * that is not well.  False then.  *params_out is where the parameters begin.
 */
bool smtp_read_path(struct smtp_session *session, const struct smtp_line *line,
    const char *keyword, struct smtp_address *address_out,
    const char **params_out);
/*
 * The same file: may the command go on with these parameters?  Replies when it
 * may not.
 */
bool smtp_params_are_ok(struct smtp_session *session, const char *text,
    size_t length, enum smtp_params_result result);

/*
 * cmd_rcpt.c: judges a recipient and adds it to the transaction, and replies.
 * The domain of address may be spelled anew.
 */
void smtp_recipient_take(struct smtp_session *session,
    struct smtp_address *address, const char *dsn);

/* qmtp.c, qmqp.c: takes the next package and answers it. */
void smtp_qmtp_serve(struct smtp_session *session);
void smtp_qmqp_serve(struct smtp_session *session);

/* policy_sender.c: may mail come from there?  Replies when it may not. */
/*
 * Are those whom the header names as authors addresses of who has logged in, as
 * checkfrom wants it?  1; 0; -1 could not tell, which is logged.
 */
int smtp_policy_authors(
    struct smtp_session *session, const struct originate *originate);
bool smtp_policy_sender(
    struct smtp_session *session, const struct smtp_address *sender);
/*
 * policy_node.c: which node is it, now?  1 and session->node; 0: none, or this
 * is no listener for nodes; -1 could not tell.
 */
int smtp_node_identify(struct smtp_session *session, struct error *err);
/* May it send mail?  Replies when it may not. */
bool smtp_policy_node(struct smtp_session *session);
/* What the message of a node is called here, once its recipients are known. */
void smtp_node_uuid(
    const struct smtp_session *session, struct uuid *uuid_out);
/* policy_relay.c: may mail go to this address?  Replies when it may not. */
bool smtp_policy_relay(struct smtp_session *session,
    const struct smtp_address *address, bool *is_relayed_out);
/* policy_mailbox.c: is there such a mailbox?  Replies when there is not. */
bool smtp_policy_mailbox(
    struct smtp_session *session, const struct smtp_address *address);

#endif
