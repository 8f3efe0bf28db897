/* SPDX-License-Identifier: ISC */
/* Messages of a Maildir on their way to another host. */
#include "remote/serial.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mailbox_text.h"
#include "base/mem.h"

enum { MESSAGE_MAX = 1 << 30 };

static const char path_mark[] = "Return-Path: <";
static const char to_mark[] = "Delivered-To: ";

/* A Quoted-string in front becomes what it stands for, in place. */
static void
take_quotes_off(char *mailbox)
{
	char *from = mailbox, *to = mailbox;

	if (*from++ != '"')
		return;
	while (*from != '\0' && *from != '"') {
		if (*from == '\\' && from[1] != '\0')
			from++;
		*to++ = *from++;
	}
	if (*from == '"')
		from++;
	memmove(to, from, strlen(from) + 1);
}

/* What a line has between mark and end; NULL: another line. */
static char *
cut_line(const char *line, const char *mark, const char *end, size_t *length)
{
	const char *newline = strchr(line, '\n');
	size_t mark_length = strlen(mark), end_length = strlen(end);

	if (newline == NULL || strncmp(line, mark, mark_length) != 0)
		return NULL;
	*length = (size_t)(newline - line) + 1;
	if (*length < mark_length + end_length ||
	    strncmp(newline + 1 - end_length, end, end_length) != 0)
		return NULL;
	return xstrndup(line + mark_length, *length - mark_length - end_length);
}

static int
parse_message(struct serial_message *message, const char *prefix)
{
	size_t length = 0, more = 0, prefix_length = strlen(prefix);

	message->sender = cut_line(
	    message->text.data, path_mark, ">\n", &length);
	if (message->sender == NULL)
		return 0;
	message->recipient = cut_line(
	    message->text.data + length, to_mark, "\n", &more);
	if (message->recipient == NULL ||
	    strncmp(message->recipient, prefix, prefix_length) != 0 ||
	    message->recipient[prefix_length] == '\0')
		return 0;
	memmove(message->recipient, message->recipient + prefix_length,
	    strlen(message->recipient) - prefix_length + 1);
	take_quotes_off(message->sender);
	message->body_at = length + more;
	return 1;
}

int
serial_message_read(struct serial_message *message, const char *path,
    const char *prefix, struct error *err)
{
	int result;

	*message = (struct serial_message){ .sender = NULL };
	buf_init(&message->text);
	result = file_read(path, MESSAGE_MAX, &message->text, err);
	if (result == 1)
		result = parse_message(message, prefix);
	if (result != 1)
		serial_message_release(message);
	return result;
}

void
serial_message_release(struct serial_message *message)
{
	buf_release(&message->text);
	free(message->sender);
	free(message->recipient);
	*message = (struct serial_message){ .sender = NULL };
}

/* Lines become one, and what could harm a log '?'. */
static void
put_line(struct buf *line, const char *text)
{
	size_t length = strlen(text);

	while (length > 0 && text[length - 1] == '\n')
		length--;
	for (size_t i = 0; i < length; i++)
		if (text[i] == '\n')
			buf_adds(line, " / ");
		else
			buf_addc(line,
			    text[i] < ' ' || text[i] > '~' ? '?' : text[i]);
}

enum session_outcome
serial_message_send(struct session *session,
    const struct serial_message *message, struct buf *line)
{
	const struct session_recipient recipient = { message->recipient, "" };
	const struct session_message sent = { .sender = message->sender,
		.dsn = "",
		.header = "",
		.body = message->text.data + message->body_at,
		.fd = -1,
		.size_bytes = message->text.length - message->body_at,
		.recipients = &recipient,
		.recipient_count = 1 };
	AUTO(buf_release) struct buf envelope = BUF_INIT;
	struct session_result result = { .text = NULL };
	enum session_outcome outcome;

	session_send(session, &sent, &result);
	buf_addf(&envelope, "MAIL from <%s> RCPT <%s>, ", message->sender,
	    message->recipient);
	put_line(line, envelope.data);
	put_line(line, result.text);
	outcome = result.outcome;
	session_result_release(&result);
	return outcome;
}
