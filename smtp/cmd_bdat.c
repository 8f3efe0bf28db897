/* SPDX-License-Identifier: ISC */
/*
 * BDAT (RFC 3030 2):
 *
 *	bdat-cmd   = "BDAT" SP chunk-size [ SP end-marker ] CR LF
 *	end-marker = "LAST"
 */
#include <string.h>

#include "base/scan.h"
#include "smtp/session_private.h"

static bool
parse_chunk(const struct smtp_line *line, uint64_t *size_out, bool *is_last_out)
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

/*
 * RFC 2033 4.3: as many replies to the last chunk as recipients were taken, so
 * none here.  It ends the transaction as one that was taken does.
 */
static void
reply_obstacle(struct smtp_session *session, bool is_last, const char *obstacle)
{
	if (session->kind->is_lmtp && is_last)
		smtp_transaction_reset(session);
	else
		smtp_reply_error(session, 503, "5.5.1", obstacle);
}

/* Where the chunk's bytes go; the first one opens the message. */
static struct smtp_body *
open_chunk(struct smtp_session *session)
{
	struct smtp_transaction *transaction = &session->transaction;

	if (!transaction->has_chunk)
		smtp_message_begin(session, false);
	transaction->has_chunk = true;
	return &transaction->message.body;
}

void
smtp_cmd_bdat(struct smtp_session *session, const struct smtp_line *line)
{
	const char *obstacle = session->has_hello
	    ? smtp_transaction_obstacle(session)
	    : smtp_no_hello(session);
	struct smtp_body *body = NULL;
	uint64_t size;
	bool is_last;

	if (!parse_chunk(line, &size, &is_last)) {
		/* What follows is a chunk of unknown size, not commands. */
		smtp_reply(session, 501, "5.5.4",
		    "Syntax error (a chunk size is needed), goodbye");
		session->is_over = true;
		return;
	}
	if (obstacle == NULL)
		body = open_chunk(session);
	if (!read_chunk(session, size, body))
		return;
	if (obstacle != NULL)
		reply_obstacle(session, is_last, obstacle);
	else if (is_last) {
		smtp_body_finish(body);
		smtp_message_finish(session);
	} else if (!smtp_message_refuse(session))
		smtp_reply(session, 250, "2.0.0", "ok %llu octets received",
		    (unsigned long long)size);
}
