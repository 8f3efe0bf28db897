/* SPDX-License-Identifier: ISC */
/* STARTTLS (RFC 3207). */
#include "smtp/session_private.h"

void
smtp_cmd_starttls(struct smtp_session *session, const struct smtp_line *line)
{
	struct error err;

	(void)line;
	if (session->config->tls == NULL) {
		smtp_reply_error(
		    session, 502, "5.5.1", "command not implemented");
		return;
	}
	/* Who has logged in would have to do so again. */
	if (stream_tls_version(session->stream) != NULL ||
	    smtp_session_user(session) != NULL) {
		smtp_reply_error(
		    session, 503, "5.5.1", "bad sequence of commands");
		return;
	}
	if (!smtp_session_take_memory(
		session, SMTP_TLS_BYTES, &session->taken_bytes)) {
		smtp_reply(session, 454, "4.3.1", SMTP_NO_MEMORY);
		return;
	}
	smtp_reply(session, 220, "2.0.0", "ready for tls");
	/* 4.2: what was said in the clear may have been said by anybody. */
	smtp_transaction_reset(session);
	session->helo[0] = '\0';
	session->has_hello = session->is_extended = session->has_status = false;
	if (stream_start_tls(session->stream, session->config->tls,
		session->config->timeout_ms, &err) == STREAM_OK)
		return;
	smtp_log(session, "STARTTLS failed: %s", err.text);
	session->is_over = true;
}
