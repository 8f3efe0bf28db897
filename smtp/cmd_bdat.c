/* SPDX-License-Identifier: ISC */
/*
 * BDAT (RFC 3030 2):
 *
 *	bdat-cmd   = "BDAT" SP chunk-size [ SP end-marker ] CR LF
 *	end-marker = "LAST"
 */
#include <string.h>

#include "base/scan.h"
#include "queue/exitcode.h"
#include "smtp/session_private.h"

static bool
parse(const struct smtp_line *line, uint64_t *size_out, bool *is_last_out)
{
	const char *at = line->argument;
	const char *end = at + line->argument_length;

	while (at < end && *at >= '0' && *at <= '9')
		at++;
	if (!scan_u64n(line->argument, (size_t)(at - line->argument), INT64_MAX,
		size_out))
		return false;
	*is_last_out = at < end;
	if (at == end)
		return true;
	if (*at != ' ' && *at != '\t')
		return false;
	while (*at == ' ' || *at == '\t')
		at++;
	return smtp_word_is(at, (size_t)(end - at), "LAST");
}

/* Takes the chunk off the input, into the message unless that is NULL. */
static bool
read_chunk(struct smtp_session *session, uint64_t left, struct smtp_body *body)
{
	while (left > 0) {
		const char *data;
		size_t length, used;
		enum stream_result result = stream_peek(
		    session->stream, &data, &length);

		if (result != STREAM_OK) {
			smtp_session_lost(session, result);
			return false;
		}
		used = left < length ? (size_t)left : length;
		if (body != NULL)
			smtp_body_read(body, data, used, &used);
		stream_consume(session->stream, used);
		left -= used;
	}
	return true;
}

/* Why no chunk can be taken now; NULL when it can. */
static const char *
find_obstacle(const struct smtp_session *session)
{
	if (!session->has_hello)
		return smtp_no_hello(session);
	if (!session->transaction.is_open)
		return "MAIL first";
	if (session->transaction.recipient_count == 0)
		return "RCPT first";
	return NULL;
}

/* The first chunk opens the message.  enum qq. */
static int
begin(struct smtp_session *session)
{
	int result;

	if (session->transaction.has_chunk)
		return QQ_OK;
	result = smtp_message_begin(session, false);
	session->transaction.has_chunk = result == QQ_OK;
	return result;
}

void
smtp_cmd_bdat(struct smtp_session *session, const struct smtp_line *line)
{
	struct smtp_body *body = &session->transaction.message.body;
	const char *obstacle = find_obstacle(session);
	uint64_t size;
	bool is_last;
	int result;

	if (!parse(line, &size, &is_last)) {
		/* What follows is a chunk of unknown size, not commands. */
		smtp_reply(session, 501, "5.5.4",
		    "Syntax error (a chunk size is needed), goodbye");
		session->is_over = true;
		return;
	}
	result = obstacle == NULL ? begin(session) : QQ_OK;
	if (!read_chunk(session, size,
		obstacle == NULL && result == QQ_OK ? body : NULL))
		return;
	if (obstacle != NULL)
		smtp_reply_error(session, 503, "5.5.1", obstacle);
	else if (result != QQ_OK)
		smtp_message_give_up(session, result, is_last);
	else if (is_last) {
		smtp_body_finish(body);
		smtp_message_finish(session);
	} else if (!smtp_message_refuse(session))
		smtp_reply(session, 250, "2.0.0", "ok %llu octets received",
		    (unsigned long long)size);
}
