/* SPDX-License-Identifier: ISC */
/* STAT LIST UIDL RETR TOP DELE RSET LAST: messages (RFC 1939 5, 7). */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "pop3/body.h"
#include "pop3/session_private.h"

/* The message of that number, from 1; false when there is none, and says so. */
static bool
find_message(struct pop3_session *session, uint64_t number, size_t *index_out)
{
	const struct maildrop *maildrop = &session->maildrop;

	if (number == 0 || number > maildrop->count)
		pop3_error(session, "no such message, only %zu in maildrop",
		    maildrop->count);
	else if (maildrop->items[number - 1].is_deleted)
		pop3_error(session, "message %llu already deleted",
		    (unsigned long long)number);
	else {
		*index_out = (size_t)number - 1;
		return true;
	}
	return false;
}

static bool
find_argument_message(struct pop3_session *session, size_t *index_out)
{
	uint64_t number;

	if (!pop3_argument_number(session->command.argument, &number)) {
		pop3_fault(session, "which message?");
		return false;
	}
	return find_message(session, number, index_out);
}

void
pop3_cmd_stat(struct pop3_session *session)
{
	pop3_ok(session, "%zu %llu", session->maildrop.kept_count,
	    (unsigned long long)session->maildrop.kept_bytes);
}

enum { ITEM_SIZE = 120 };

static void
format_size(const struct maildrop *maildrop, size_t index, char out[ITEM_SIZE])
{
	snprintf(out, ITEM_SIZE, "%zu %llu", index + 1,
	    (unsigned long long)maildrop->items[index].size_bytes);
}

static void
format_uid(const struct maildrop *maildrop, size_t index, char out[ITEM_SIZE])
{
	char uid[MAILDROP_UID_SIZE];

	maildrop_uid(maildrop, index, uid);
	snprintf(out, ITEM_SIZE, "%zu %s", index + 1, uid);
}

/* Of one message, or of all that are not deleted. */
static void
list_items(struct pop3_session *session,
    void (*format)(const struct maildrop *, size_t, char[ITEM_SIZE]))
{
	const struct maildrop *maildrop = &session->maildrop;
	char item[ITEM_SIZE + 2];
	size_t index;

	if (session->command.argument[0] != '\0') {
		if (!find_argument_message(session, &index))
			return;
		format(maildrop, index, item);
		pop3_ok(session, "%s", item);
		return;
	}
	pop3_ok(session, "%zu messages (%llu octets)", maildrop->kept_count,
	    (unsigned long long)maildrop->kept_bytes);
	for (index = 0; index < maildrop->count; index++) {
		size_t length;

		if (maildrop->items[index].is_deleted)
			continue;
		format(maildrop, index, item);
		length = strlen(item);
		memcpy(item + length, "\r\n", 2);
		stream_write(session->stream, item, length + 2);
	}
	stream_write(session->stream, ".\r\n", 3);
}

void
pop3_cmd_list(struct pop3_session *session)
{
	list_items(session, format_size);
}

void
pop3_cmd_uidl(struct pop3_session *session)
{
	list_items(session, format_uid);
}

static void
send_message(struct pop3_session *session, size_t index, int64_t lines)
{
	const struct maildrop_message *message =
	    &session->maildrop.items[index];
	AUTO(file_close) int fd = -1;
	struct error err;
	int result = maildrop_read(&session->maildrop, index, &fd, &err);

	if (result == 0) {
		pop3_error(session, "message %zu is gone", index + 1);
		return;
	}
	if (result == -1) {
		pop3_log(session, "user <%s> %s", session->address, err.text);
		pop3_error(session, "[SYS/TEMP] unable to open that message");
		return;
	}
	if (index + 1 > session->last)
		session->last = index + 1;
	pop3_ok(
	    session, "%llu octets", (unsigned long long)message->size_bytes);
	if (pop3_body_send(session->stream, fd, lines, &err) == -1) {
		/* The client must not take for whole what has no end. */
		pop3_log(session, "user <%s> message '%s': %s",
		    session->address, message->name, err.text);
		session->is_over = true;
		return;
	}
	session->sent_count++;
	session->sent_bytes += message->size_bytes;
}

void
pop3_cmd_retr(struct pop3_session *session)
{
	size_t index;

	if (find_argument_message(session, &index))
		send_message(session, index, POP3_ALL_LINES);
}

void
pop3_cmd_top(struct pop3_session *session)
{
	uint64_t number, lines;
	size_t index;

	if (!pop3_argument_numbers(session->command.argument, &number, &lines))
		pop3_fault(
		    session, "TOP needs a message and a number of lines");
	else if (find_message(session, number, &index))
		send_message(session, index, (int64_t)lines);
}

void
pop3_cmd_dele(struct pop3_session *session)
{
	size_t index;

	if (!find_argument_message(session, &index))
		return;
	maildrop_delete(&session->maildrop, index);
	if (index + 1 > session->last)
		session->last = index + 1;
	pop3_ok(session, "deleted");
}

void
pop3_cmd_rset(struct pop3_session *session)
{
	maildrop_undelete_all(&session->maildrop);
	session->last = 0;
	pop3_ok(session, "nothing is deleted");
}

/* Of RFC 1460, which qmail-pop3d had. */
void
pop3_cmd_last(struct pop3_session *session)
{
	pop3_ok(session, "%zu", session->last);
}
