/* SPDX-License-Identifier: ISC */
/* One session: greeting, the loop over commands, replies, the end. */
#include "smtp/session.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "smtp/reply.h"
#include "smtp/session_private.h"

static void
keep_answer(struct smtp_session *session, int code, const char *text)
{
	char letter = code < 400 ? 'K' : code < 500 ? 'Z' : 'D';

	if (session->answer[0] == '\0')
		snprintf(
		    session->answer, SMTP_REPLY_MAX + 1, "%c%s", letter, text);
}

void
smtp_reply_line(struct smtp_session *session, int code, bool is_last,
    const char *status, const char *text)
{
	char line[SMTP_REPLY_MAX + 1];
	size_t length;

	if (session->answer != NULL) {
		keep_answer(session, code, text);
		return;
	}
	length = smtp_reply_format(
	    line, code, is_last, session->has_status ? status : NULL, text);
	stream_write(session->stream, line, length);
}

void
smtp_reply(struct smtp_session *session, int code, const char *status,
    const char *format, ...)
{
	char text[SMTP_REPLY_MAX];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (code >= 400 && n >= 0 && (size_t)n < sizeof(text))
		snprintf(text + n, sizeof(text) - (size_t)n, " (#%s)", status);
	smtp_reply_line(session, code, true, status, text);
}

void
smtp_reply_error(struct smtp_session *session, int code, const char *status,
    const char *text)
{
	smtp_reply(session, code, status, "%s", text);
	if (++session->errors < SMTP_ERRORS_MAX)
		return;
	smtp_log(session, "too many errors");
	smtp_reply(session, 421, "4.7.1", "too many errors, goodbye");
	session->is_over = true;
}

void
smtp_session_lost(struct smtp_session *session, enum stream_result result)
{
	const char *where = session->transaction.is_open
	    ? " inside a transaction"
	    : "";

	session->is_over = true;
	switch (result) {
	case STREAM_TIMEOUT:
		smtp_log(session, "timeout reached reading data from client%s",
		    where);
		smtp_reply(session, 451, "4.4.2",
		    "Sorry, I reached a timeout reading from client");
		break;
	case STREAM_CLOSED:
		if (session->transaction.is_open)
			smtp_log(session, "client went away%s", where);
		break;
	case STREAM_FAILED:
		smtp_log(session, "connection failed%s", where);
		break;
	case STREAM_OK:
	case STREAM_TOO_LONG:
		break;
	}
}

/* Several lines are one greeting; ESMTP stands where clients look for it. */
static void
greet_client(struct smtp_session *session)
{
	const struct strlist *lines = session->config->greeting;
	char first[SMTP_REPLY_MAX];
	size_t i;

	snprintf(first, sizeof(first), "%s %s", lines->items[0],
	    session->kind->is_lmtp ? "LMTP" : "ESMTP");
	for (i = 0; i < lines->count; i++)
		smtp_reply_line(session, 220, i + 1 == lines->count, NULL,
		    i == 0 ? first : lines->items[i]);
}

static void
say_goodbye(struct smtp_session *session)
{
	session->is_over = true;
	smtp_reply(session, 421, "4.3.2", "%s is going down, try again later",
	    session->config->greeting->items[0]);
}

/*
 * The next line.  A session between transactions costs no buffers, and ends
 * when the server stops.
 */
static enum stream_result
read_line(
    struct smtp_session *session, const char **line_out, size_t *length_out)
{
	bool is_between = !session->transaction.is_open;
	enum stream_result result;

	if (!stream_has_input(session->stream) && is_between) {
		stream_flush(session->stream);
		stream_rest(session->stream);
	}
	if (is_between &&
	    !smtp_server_wait(session->server, &session->presence)) {
		say_goodbye(session);
		return STREAM_CLOSED;
	}
	result = stream_read_line(session->stream,
	    smtp_session_line_max(session), line_out, length_out);
	if (is_between)
		smtp_server_resume(&session->presence);
	if (result == STREAM_CLOSED && is_between &&
	    atomic_load(&session->server->has_stopped))
		say_goodbye(session);
	return result;
}

bool
smtp_session_await(struct smtp_session *session)
{
	enum stream_result result;
	const char *data;
	size_t length;

	if (!stream_has_input(session->stream)) {
		stream_flush(session->stream);
		stream_rest(session->stream);
	}
	if (!smtp_server_wait(session->server, &session->presence)) {
		session->is_over = true;
		return false;
	}
	result = stream_peek(session->stream, &data, &length);
	smtp_server_resume(&session->presence);
	if (result != STREAM_OK)
		smtp_session_lost(session, result);
	return result == STREAM_OK;
}

static void
serve_command(struct smtp_session *session)
{
	const char *text;
	size_t length;
	struct smtp_line line;
	enum stream_result result = read_line(session, &text, &length);

	if (session->is_over)
		return;
	if (result == STREAM_OK && length > session->config->maxcmdlen &&
	    strncasecmp(text, "AUTH ", 5) != 0)
		result = STREAM_TOO_LONG;
	if (result == STREAM_TOO_LONG) {
		smtp_log(session, "command too long");
		smtp_reply_error(session, 553, "5.5.2",
		    "sorry, the given command is too long!");
	} else if (result != STREAM_OK)
		smtp_session_lost(session, result);
	else if (!smtp_line_parse(text, length, &line)) {
		smtp_log_syntax(session, text, length);
		smtp_reply_error(
		    session, 500, "5.5.2", "this is not a command");
	} else
		smtp_dispatch(session, &line);
}

bool
smtp_session_take_memory(
    struct smtp_session *session, uint64_t bytes, uint64_t *taken)
{
	if (smtp_server_take_memory(session->server, bytes)) {
		*taken += bytes;
		return true;
	}
	smtp_log(session,
	    "out of memory for sessions (sessionmemory %llu bytes)",
	    (unsigned long long)settings_number(
		session->config->settings, SETTING_sessionmemory));
	return false;
}

/* Before anything else: is there memory for this session? */
static void
begin(struct smtp_session *session)
{
	bool has_tls = session->kind->has_tls_first;
	uint64_t bytes = SMTP_SESSION_BYTES + (has_tls ? SMTP_TLS_BYTES : 0);

	if (smtp_session_take_memory(session, bytes, &session->taken_bytes))
		return;
	session->is_over = true;
	if (!has_tls)
		smtp_reply(session, 421, "4.3.2",
		    "too many connections, try again later");
}

/* RFC 8314 3: TLS before anything else. */
static void
start_with_tls(struct smtp_session *session)
{
	struct error err;

	if (stream_start_tls(session->stream, session->config->tls,
		session->config->timeout_ms, &err) == STREAM_OK)
		return;
	smtp_log(session, "TLS failed: %s", err.text);
	session->is_over = true;
}

/* Where strangers' mail goes, and by whose will, is not for that of nodes. */
static void
forget_ways(struct vars *vars)
{
	static const char *const names[] = { "QMAILQUEUE", "NULLQUEUE",
		"EXTRAQUEUE", "QQEH", "RELAYCLIENT" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		vars_set(vars, names[i], NULL);
}

void
smtp_session_run(struct smtp_server *server, int read_fd, int write_fd,
    const struct smtp_peer *peer, struct vars *vars)
{
	const struct smtp_kind *kind = &server->kind;
	void (*serve)(struct smtp_session *) = kind->is_qmqp ? smtp_qmqp_serve
	    : kind->is_qmtp                                  ? smtp_qmtp_serve
							     : serve_command;
	char answer[SMTP_REPLY_MAX + 1] = "";
	struct smtp_session session = {
		.server = server,
		.kind = kind,
		.answer = kind->is_qmtp || kind->is_qmqp ? answer : NULL,
		.config = smtp_server_config(server),
		.stream = stream_new(read_fd, write_fd),
		.peer = peer,
		.vars = vars,
		.presence = { .fd = read_fd },
	};

	if (kind->is_node)
		forget_ways(vars);
	stream_set_timeout(session.stream, session.config->timeout_ms);
	smtp_server_enter(server, &session.presence);
	begin(&session);
	if (!session.is_over && session.kind->has_tls_first)
		start_with_tls(&session);
	if (!session.is_over && session.answer == NULL)
		greet_client(&session);
	while (!session.is_over)
		serve(&session);
	smtp_transaction_reset(&session);
	login_user_release(&session.user);
	stream_flush(session.stream);
	smtp_server_leave(server, &session.presence);
	stream_free(&session.stream);
	smtp_server_give_memory(server, session.taken_bytes);
	smtp_config_release(&session.config);
}
