/* SPDX-License-Identifier: ISC */
/*
 * Log lines of sessions, in the positions where log tools look for them
 * (reference 9.3): the program, pid, the address, then words and <fields>.
 */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/log_text.h"
#include "base/mem.h"
#include "queue/exitcode.h"
#include "smtp/session_private.h"

enum { LINE_SIZE = 2048, FIELD_MAX = 300 };

void
smtp_log(const struct smtp_session *session, const char *format, ...)
{
	char text[LINE_SIZE];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	log_line("%s: pid %d from %s %s", smtp_kind_program(session->kind),
	    session->peer->id, session->peer->remote_ip, text);
}

static void
put_field(struct buf *buf, const char *word, const char *text)
{
	char field[FIELD_MAX + 1];

	log_word(field, sizeof(field), text);
	buf_addf(buf, "%s <%s>", word, field);
}

/* What a filter says may be what the message says: it opens no field. */
static void
put_reason(struct buf *buf, const char *text)
{
	for (; *text != '\0'; text++)
		buf_addc(buf, *text == '<' || *text == '>' ? '_' : *text);
}

void
smtp_log_refused(const struct smtp_session *session, const char *what,
    const char *recipient_word, const char *recipient, const char *more)
{
	const char *sender = session->transaction.sender;
	AUTO(buf_release) struct buf buf = BUF_INIT;

	put_field(&buf, "MAIL from", sender != NULL ? sender : "");
	if (recipient != NULL) {
		buf_addc(&buf, ' ');
		put_field(&buf, recipient_word, recipient);
	}
	if (more != NULL)
		buf_addf(&buf, " %s", more);
	smtp_log(session, "%s: %s", what, buf.data);
}

void
smtp_log_syntax(
    const struct smtp_session *session, const char *text, size_t length)
{
	struct buf line, field;

	buf_init(&line);
	buf_init(&field);
	for (; length > 0 && *text == ' '; length--)
		text++;
	while (length > 0 && strchr("\r\n", text[length - 1]) != NULL)
		length--;
	/* One more byte, so that it shows where it was cut. */
	buf_add(&line, text, length > FIELD_MAX ? FIELD_MAX + 1 : length);
	put_field(&field, "COMMAND", line.data);
	smtp_log(session, "syntax error: %s", field.data);
	buf_release(&field);
	buf_release(&line);
}

void
smtp_log_too_large(const struct smtp_session *session, uint64_t size_bytes,
    uint64_t limit_bytes)
{
	char more[80];

	snprintf(more, sizeof(more), "Size: %llu limit: %llu",
	    (unsigned long long)size_bytes, (unsigned long long)limit_bytes);
	smtp_log_refused(session, "data size exceeded", NULL, NULL, more);
}

void
smtp_log_result(const struct smtp_session *session, int result,
    const struct sink_outcome *outcome)
{
	const struct smtp_transaction *transaction = &session->transaction;
	const struct smtp_message *message = &transaction->message;
	const char *version = stream_tls_version(session->stream);
	char id[UUID_TEXT_SIZE];
	AUTO(buf_release) struct buf buf = BUF_INIT;
	size_t i;

	uuid_format(&message->uuid, id);
	for (i = 0; i < transaction->recipient_count; i++) {
		const struct smtp_recipient *recipient =
		    &transaction->recipients[i];

		buf_reset(&buf);
		if (result != QQ_OK) {
			put_reason(&buf, outcome->text);
			buf_addf(&buf, " (%s):",
			    qq_is_permanent(result) ? "permanent"
						    : "temporary");
		}
		put_field(&buf, " HELO", session->helo);
		put_field(&buf, " MAIL from", transaction->sender);
		put_field(&buf, " RCPT", recipient->address);
		if (session->mechanism != NULL)
			buf_addf(&buf, " AUTH <%s: AUTH %s>",
			    session->auth_name, session->mechanism);
		else
			buf_addf(&buf, " AUTH <%s>",
			    recipient->is_relayed ? "auth-ip/pop"
						  : "local-rcpt");
		buf_addf(&buf, " Size: %llu TLS=%s qp %lu id %s",
		    (unsigned long long)message->size_bytes,
		    version != NULL ? version : "No", message->qp, id);
		if (outcome->queue[0] != '\0')
			buf_addf(&buf, " queue %s msg %llu", outcome->queue,
			    (unsigned long long)outcome->id);
		smtp_log(session, "%s", buf.data);
	}
}
