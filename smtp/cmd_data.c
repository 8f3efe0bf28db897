/* SPDX-License-Identifier: ISC */
/* DATA (RFC 5321 4.1.1.4). */
#include "smtp/session_private.h"

/*
 * Reads to the final dot's line.  False when that does not come: the client
 * has gone, or it waits for the answer to a message with bare LFs, whose end
 * it has sent as it sends line ends.
 */
static bool
read_data(struct smtp_session *session)
{
	struct smtp_message *message = &session->transaction.message;

	for (;;) {
		const char *data;
		size_t length, used;
		enum stream_result result = stream_peek(
		    session->stream, &data, &length);
		bool has_ended;

		if (result != STREAM_OK) {
			smtp_session_lost(session, result);
			return false;
		}
		has_ended = smtp_body_read(&message->body, data, length, &used);
		stream_consume(session->stream, used);
		if (has_ended)
			return true;
		if (message->body.has_bare_lf && !message->allows_bare_lf &&
		    !stream_has_input(session->stream) &&
		    smtp_body_looks_ended(&message->body)) {
			/* What may still come is not to be taken for commands.
			 */
			session->is_over = true;
			return true;
		}
	}
}

void
smtp_cmd_data(struct smtp_session *session, const struct smtp_line *line)
{
	const char *obstacle = smtp_transaction_obstacle(session);

	(void)line;
	if (session->transaction.has_chunk) /* RFC 3030 2 */
		obstacle = "bad sequence of commands";
	if (obstacle != NULL) {
		smtp_reply_error(session, 503, "5.5.1", obstacle);
		return;
	}
	if (!smtp_message_begin(session, true)) {
		smtp_message_refuse(session);
		smtp_transaction_reset(session);
		return;
	}
	smtp_reply(session, 354, NULL, "go ahead");
	if (read_data(session))
		smtp_message_finish(session);
}
