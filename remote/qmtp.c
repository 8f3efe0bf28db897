/* SPDX-License-Identifier: ISC */
/* A message by QMTP (cr.yp.to/proto/qmtp.txt). */
#include "remote/session_private.h"

#include <stdio.h>
#include <string.h>

#include "base/netstring.h"
#include "remote/body.h"

enum { ANSWER_MAX = 65535 };

static void
send_as_it_is(void *session, const char *data, size_t length)
{
	stream_write(((struct session *)session)->stream, data, length);
}

/* The message, whose lines end in LF (the first byte says so), and the
 * envelope.  0, or -1 when it cannot be read: then it has no end. */
static int
put_package(struct session *session, const struct session_message *message)
{
	struct buf envelope = BUF_INIT, list = BUF_INIT;
	char head[40];
	size_t i;
	int length = snprintf(head, sizeof(head), "%llu:\n",
	    (unsigned long long)(1 + strlen(message->header) +
		message->size_bytes));
	int result;

	stream_write(session->stream, head, (size_t)length);
	result = body_read(message, send_as_it_is, session);
	buf_adds(&envelope, ",");
	netstring_put(&envelope, message->sender, strlen(message->sender));
	for (i = 0; i < message->recipient_count; i++)
		netstring_put(&list, message->recipients[i].address,
		    strlen(message->recipients[i].address));
	netstring_put(&envelope, list.data, list.length);
	if (result == 0)
		stream_write(session->stream, envelope.data, envelope.length);
	buf_release(&envelope);
	buf_release(&list);
	return result;
}

static enum reply_result
read_byte(struct session *session, char *byte_out)
{
	const char *data;
	size_t length;
	enum stream_result result = stream_peek(
	    session->stream, &data, &length);

	*byte_out = '\0';
	if (result != STREAM_OK)
		return reply_result_of(result);
	*byte_out = *data;
	stream_consume(session->stream, 1);
	return REPLY_OK;
}

static enum reply_result
read_length(struct session *session, size_t *length_out)
{
	struct netstring netstring = { 0 };
	enum netstring_result state = NETSTRING_MORE;
	enum reply_result result = REPLY_OK;
	char byte;

	while (result == REPLY_OK && state == NETSTRING_MORE) {
		result = read_byte(session, &byte);
		if (result == REPLY_OK)
			state = netstring_read(&netstring, byte, ANSWER_MAX);
	}
	*length_out = (size_t)netstring.length;
	return state == NETSTRING_BAD ? REPLY_GARBAGE : result;
}

static bool
is_outcome(char letter)
{
	return letter == SESSION_DELIVERED || letter == SESSION_TEMPFAIL ||
	    letter == SESSION_PERMFAIL;
}

/* A netstring: K, Z or D and a text. */
static enum reply_result
read_answer(struct session *session, char *outcome_out, struct reply *reply_out)
{
	size_t length, i, used = 0;
	enum reply_result result;
	char byte = '\0';

	*reply_out = (struct reply){ .code = 0 };
	result = read_length(session, &length);
	for (i = 0; result == REPLY_OK && i <= length; i++) {
		result = read_byte(session, &byte);
		if (result != REPLY_OK)
			break;
		if (i == 0)
			*outcome_out = byte;
		else if (i < length && used < REPLY_TEXT_SIZE - 1)
			reply_out->text[used++] = byte >= ' ' && byte <= '~'
			    ? byte
			    : ' ';
	}
	if (result == REPLY_OK && (byte != ',' || !is_outcome(*outcome_out)))
		return REPLY_GARBAGE;
	return result;
}

static enum reply_result
read_recipient(struct session *session, struct session_result *result_out)
{
	struct reply reply;
	char outcome = '\0';
	enum reply_result why = read_answer(session, &outcome, &reply);

	if (why != REPLY_OK)
		return why;
	if (outcome == SESSION_DELIVERED)
		session_fill(session, result_out, SESSION_DELIVERED, STAGE_OVER,
		    &reply, "", "accepted message");
	else
		session_fill(session, result_out, (enum session_outcome)outcome,
		    STAGE_DATA, &reply, "Connected to ",
		    "but it did not take the message");
	return REPLY_OK;
}

void
session_send_qmtp(struct session *session,
    const struct session_message *message, struct session_result *results_out)
{
	enum reply_result why = REPLY_OK;
	struct reply nothing = { 0 };
	size_t i;

	session->mail_count++;
	if (put_package(session, message) == -1) {
		session->is_over = true;
		for (i = 0; i < message->recipient_count; i++)
			session_fill_text(&results_out[i], SESSION_TEMPFAIL,
			    STAGE_MAIL, "Unable to read message. (#4.3.0)\n");
		return;
	}
	for (i = 0; i < message->recipient_count; i++) {
		if (why == REPLY_OK)
			why = read_recipient(session, &results_out[i]);
		if (why == REPLY_OK)
			continue;
		session->is_over = true;
		session_fill_lost(
		    session, &results_out[i], STAGE_DATA, true, why, &nothing);
	}
}
