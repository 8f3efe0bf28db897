/* SPDX-License-Identifier: ISC */
/* One session: greeting, the loop over commands, the end. */
#include "pop3/session.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "pop3/session_private.h"

enum { REPLY_MAX = 512 }; /* RFC 1939 3 */

enum { BEFORE = 1, AFTER = 2, ALWAYS = BEFORE | AFTER };

/* The states in which a verb may come, before and after the login. */
static const struct {
	const char *name;
	unsigned when;
	void (*act)(struct pop3_session *);
} pop3_verbs[] = {
	{ "USER", BEFORE, pop3_cmd_user },
	{ "PASS", BEFORE, pop3_cmd_pass },
	{ "APOP", BEFORE, pop3_cmd_apop },
	{ "AUTH", BEFORE, pop3_cmd_auth },
	{ "STLS", BEFORE, pop3_cmd_stls },
	{ "UTF8", BEFORE, pop3_cmd_utf8 },
	{ "CAPA", ALWAYS, pop3_cmd_capa },
	{ "NOOP", AFTER, pop3_cmd_noop },
	{ "QUIT", ALWAYS, pop3_cmd_quit },
	{ "STAT", AFTER, pop3_cmd_stat },
	{ "LIST", AFTER, pop3_cmd_list },
	{ "UIDL", AFTER, pop3_cmd_uidl },
	{ "RETR", AFTER, pop3_cmd_retr },
	{ "TOP", AFTER, pop3_cmd_top },
	{ "DELE", AFTER, pop3_cmd_dele },
	{ "RSET", AFTER, pop3_cmd_rset },
	{ "LAST", AFTER, pop3_cmd_last },
};

static void
put_reply(struct pop3_session *session, const char *status, const char *format,
    va_list args)
{
	char line[REPLY_MAX];
	size_t length = strlen(status);
	int n;

	memcpy(line, status, length);
	n = vsnprintf(line + length, sizeof(line) - length - 2, format, args);
	if (n > 0)
		length += (size_t)n < sizeof(line) - length - 2
		    ? (size_t)n
		    : sizeof(line) - length - 3;
	memcpy(line + length, "\r\n", 2);
	stream_write(session->stream, line, length + 2);
}

void
pop3_ok(struct pop3_session *session, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	put_reply(session, "+OK ", format, args);
	va_end(args);
}

void
pop3_error(struct pop3_session *session, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	put_reply(session, "-ERR ", format, args);
	va_end(args);
}

void
pop3_fault(struct pop3_session *session, const char *text)
{
	pop3_error(session, "%s", text);
	if (++session->errors < POP3_ERRORS_MAX)
		return;
	pop3_log(session, "too many errors");
	session->is_over = true;
}

void
pop3_log(struct pop3_session *session, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	log_line("%s: pid %d from %s %s", session->server->kind.program,
	    session->peer->id, session->peer->remote_ip, text);
}

bool
pop3_is_private(const struct pop3_session *session)
{
	return stream_tls_version(session->stream) != NULL ||
	    session->config->may_be_plain ||
	    login_is_from_here(session->peer->remote_ip);
}

bool
pop3_take_memory(struct pop3_session *session, uint64_t bytes)
{
	if (!mem_is_short() && budget_take(&session->server->memory, bytes)) {
		session->taken_bytes += bytes;
		return true;
	}
	pop3_log(session, "out of memory for sessions (sessionmemory)");
	return false;
}

static void
lose_client(struct pop3_session *session, enum stream_result result)
{
	session->is_over = true;
	switch (result) {
	case STREAM_TIMEOUT:
		pop3_log(session, "timeout");
		pop3_error(session, "[SYS/TEMP] timeout");
		break;
	case STREAM_CLOSED:
		if (atomic_load(&session->server->has_stopped))
			pop3_error(session, "[SYS/TEMP] going down");
		break;
	case STREAM_FAILED:
		pop3_log(session, "connection failed");
		break;
	case STREAM_OK:
	case STREAM_TOO_LONG:
		break;
	}
}

bool
pop3_read_command(struct pop3_session *session)
{
	enum stream_result result;
	const char *line;
	size_t length;

	if (!stream_has_input(session->stream)) {
		stream_flush(session->stream);
		stream_rest(session->stream);
	}
	result = stream_read_line(
	    session->stream, POP3_LINE_MAX, &line, &length);
	if (result == STREAM_TOO_LONG) {
		pop3_fault(session, "line too long");
		return false;
	}
	if (result != STREAM_OK) {
		lose_client(session, result);
		return false;
	}
	if (pop3_command_parse(line, length, &session->command))
		return true;
	pop3_fault(session, "this is not a command");
	return false;
}

static void
serve_pop3_command(struct pop3_session *session)
{
	unsigned state = session->is_in ? AFTER : BEFORE;

	if (!pop3_read_command(session))
		return;
	for (size_t i = 0; i < sizeof(pop3_verbs) / sizeof(pop3_verbs[0]); i++)
		if (strcmp(pop3_verbs[i].name, session->command.verb) == 0) {
			if ((pop3_verbs[i].when & state) != 0)
				pop3_verbs[i].act(session);
			else
				pop3_fault(session,
				    session->is_in ? "already logged in"
						   : "log in first");
			explicit_bzero(
			    &session->command, sizeof(session->command));
			return;
		}
	pop3_fault(session, "unimplemented");
}

/* RFC 8314 3: TLS before anything else. */
static bool
begin_with_tls(struct pop3_session *session)
{
	struct error err;

	if (stream_start_tls(session->stream, session->config->tls,
		POP3_HANDSHAKE_MS, &err) == STREAM_OK)
		return true;
	pop3_log(session, "TLS failed: %s", err.text);
	return false;
}

/* RFC 1939 7: a timestamp that no other greeting has. */
static void
make_timestamp(struct pop3_session *session)
{
	snprintf(session->timestamp, sizeof(session->timestamp),
	    "<%ld.%d.%lld@%s>", (long)getpid(), session->peer->id,
	    (long long)clock_us(), session->options->host);
}

static void
greet_pop3_client(struct pop3_session *session)
{
	const struct pop3_options *options = session->options;
	struct error err;

	if (options->let_in != NULL) {
		if (session->config->has_apop)
			make_timestamp(session);
		pop3_ok(session, "ready %s", session->timestamp);
		return;
	}
	/* He has logged in: this is the answer to that. */
	snprintf(session->address, sizeof(session->address), "%s",
	    options->user);
	if (maildrop_open_at(&session->maildrop, options->maildir,
		&session->server->memory, &err) == 0) {
		pop3_begin_transaction(session);
		return;
	}
	pop3_log(session, "%s", err.text);
	pop3_error(session, "[SYS/TEMP] unable to open the maildrop");
	session->is_over = true;
}

void
pop3_begin_transaction(struct pop3_session *session)
{
	session->is_in = true;
	pop3_ok(session, "%zu messages", session->maildrop.count);
}

static void
log_pop3_end(struct pop3_session *session)
{
	if (session->is_in)
		pop3_log(session,
		    "user <%s> retrieved %zu/%llu of %zu messages",
		    session->address, session->sent_count,
		    (unsigned long long)session->sent_bytes,
		    session->maildrop.count);
}

void
pop3_session_run(struct pop3_server *server, int read_fd, int write_fd,
    const struct pop3_peer *peer, const struct pop3_options *options)
{
	struct pop3_session session = {
		.server = server,
		.config = pop3_server_config(server),
		.options = options,
		.peer = peer,
		.stream = stream_new(read_fd, write_fd),
		.presence = { .fd = read_fd },
		.maildrop = { .dir_fd = -1, .new_fd = -1, .cur_fd = -1 },
	};
	bool has_tls = server->kind.has_tls_first;

	stream_set_timeout(session.stream, session.config->timeout_ms);
	pop3_server_enter(server, &session.presence);
	if (!pop3_take_memory(&session,
		POP3_SESSION_BYTES + (has_tls ? POP3_TLS_BYTES : 0))) {
		if (!has_tls)
			pop3_error(&session,
			    "[SYS/TEMP] too many connections, try again later");
		session.is_over = true;
	} else if (has_tls && !begin_with_tls(&session))
		session.is_over = true;
	else
		greet_pop3_client(&session);
	while (!session.is_over)
		serve_pop3_command(&session);
	stream_flush(session.stream);
	log_pop3_end(&session);
	pop3_server_leave(server, &session.presence);
	maildrop_release(&session.maildrop);
	free(session.user_dir);
	stream_free(&session.stream);
	budget_give(&server->memory, session.taken_bytes);
	pop3_config_release(&session.config);
	explicit_bzero(&session, sizeof(session));
}
