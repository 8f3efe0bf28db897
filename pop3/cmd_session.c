/* SPDX-License-Identifier: ISC */
/* CAPA (RFC 2449), STLS (RFC 2595), UTF8 (RFC 6856), NOOP and QUIT. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "mailbox/over_quota.h"
#include "pop3/session_private.h"

static void
put_line(struct pop3_session *session, const char *line)
{
	stream_write(session->stream, line, strlen(line));
	stream_write(session->stream, "\r\n", 2);
}

void
pop3_cmd_capa(struct pop3_session *session)
{
	static const char *const always[] = { "TOP", "UIDL", "PIPELINING",
		"RESP-CODES", "AUTH-RESP-CODE", "EXPIRE NEVER", "UTF8" };
	bool has_login = session->options->let_in != NULL;
	AUTO(buf_release) struct buf sasl = BUF_INIT;
	char delay[40];

	pop3_ok(session, "capabilities follow");
	for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++)
		put_line(session, always[i]);
	snprintf(delay, sizeof(delay), "LOGIN-DELAY %u",
	    session->config->login_delay_s);
	if (session->config->login_delay_s > 0)
		put_line(session, delay);
	if (has_login && pop3_is_private(session)) {
		put_line(session, "USER");
		buf_adds(&sasl, "SASL ");
		if (pop3_put_mechanisms(session, &sasl))
			put_line(session, sasl.data);
	}
	if (has_login && !session->is_in && session->config->tls != NULL &&
	    stream_tls_version(session->stream) == NULL)
		put_line(session, "STLS");
	put_line(session, "IMPLEMENTATION mqmail");
	put_line(session, ".");
}

void
pop3_cmd_stls(struct pop3_session *session)
{
	struct error err;

	if (session->config->tls == NULL) {
		pop3_fault(session, "unimplemented");
		return;
	}
	if (stream_tls_version(session->stream) != NULL) {
		pop3_fault(session, "TLS is active already");
		return;
	}
	if (!pop3_take_memory(session, POP3_TLS_BYTES)) {
		pop3_error(session, "[SYS/TEMP] no memory for TLS");
		return;
	}
	pop3_ok(session, "begin TLS negotiation");
	/* What was said in the clear may have been said by anybody. */
	session->user[0] = '\0';
	if (stream_start_tls(session->stream, session->config->tls,
		POP3_HANDSHAKE_MS, &err) == STREAM_OK)
		return;
	pop3_log(session, "STLS failed: %s", err.text);
	session->is_over = true;
}

/* Messages are sent as they are, with or without it. */
void
pop3_cmd_utf8(struct pop3_session *session)
{
	pop3_ok(session, "as they are");
}

void
pop3_cmd_noop(struct pop3_session *session)
{
	pop3_ok(session, "done");
}

void
pop3_cmd_quit(struct pop3_session *session)
{
	struct error err;
	size_t removed;

	session->is_over = true;
	if (session->is_in) {
		int result = maildrop_finish(
		    &session->maildrop, &removed, &err);

		if (removed > 0 && session->user_dir != NULL)
			over_quota_clear(session->server->over_quota,
			    session->user_dir);
		if (removed > 0)
			pop3_log(session, "user <%s> removed %zu messages",
			    session->address, removed);
		if (result == -1) {
			pop3_log(session, "user <%s> %s", session->address,
			    err.text);
			pop3_error(session,
			    "[SYS/TEMP] some deleted messages not removed");
			return;
		}
	}
	pop3_ok(session, "bye");
}
