/* SPDX-License-Identifier: ISC */
/* A reply of an SMTP server, and what it means to us. */
#include "remote/reply.h"

#include <ctype.h>
#include <string.h>

enum {
	/* RFC 5321 4.5.3.1.5: 512; some say more */
	LINE_MAX_BYTES = 8192
};

enum reply_result
reply_result_of(enum stream_result result)
{
	switch (result) {
	case STREAM_OK:
		return REPLY_OK;
	case STREAM_CLOSED:
		return REPLY_CLOSED;
	case STREAM_TIMEOUT:
		return REPLY_TIMEOUT;
	case STREAM_FAILED:
		return REPLY_FAILED;
	case STREAM_TOO_LONG:
		break;
	}
	return REPLY_GARBAGE;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/*
 * Reply-line = Reply-code [ SP textstring ] CRLF, or "-" instead of SP when
 * more follow; the length is without CRLF.  Gives 0 when it is none.
 */
static int
read_code(const char *line, size_t length)
{
	if (length < 3 || line[0] < '2' || line[0] > '5' ||
	    !is_digit(line[1]) || !is_digit(line[2]) ||
	    (length > 3 && line[3] != ' ' && line[3] != '-'))
		return 0;
	return (line[0] - '0') * 100 + (line[1] - '0') * 10 + line[2] - '0';
}

/* Up to max digits; how many. */
static size_t
count_digits(const char *text, size_t max)
{
	size_t count = 0;

	while (count < max && is_digit(text[count]))
		count++;
	return count;
}

/* status-code = class "." 1*3DIGIT "." 1*3DIGIT (RFC 3463 2), of its class */
static void
find_status(struct reply *reply, const char *text)
{
	size_t subject, detail, length;

	if (reply->status[0] != '\0' || text[0] != '0' + reply->code / 100 ||
	    text[1] != '.')
		return;
	subject = count_digits(text + 2, 3);
	if (subject == 0 || text[2 + subject] != '.')
		return;
	detail = count_digits(text + 3 + subject, 3);
	length = 3 + subject + detail;
	if (detail == 0 || (text[length] != ' ' && text[length] != '\0'))
		return;
	memcpy(reply->status, text, length);
	reply->status[length] = '\0';
}

/* Adds a line to the text, as far as there is room. */
static void
keep_line(struct reply *reply, size_t *used, const char *line)
{
	if (*used > 0 && *used < REPLY_TEXT_SIZE - 1)
		reply->text[(*used)++] = '\n';
	while (*line != '\0' && *used < REPLY_TEXT_SIZE - 1)
		reply->text[(*used)++] = *line++;
	reply->text[*used] = '\0';
}

/* A copy with one space for what is not printable, without blanks at its end.
 */
static void
copy_line(char *copy, const char *line, size_t length)
{
	size_t i;

	for (i = 0; i < length; i++)
		copy[i] = line[i] >= ' ' && line[i] <= '~' ? line[i] : ' ';
	while (length > 3 && copy[length - 1] == ' ')
		length--;
	copy[length] = '\0';
}

enum reply_result
reply_read(struct stream *stream, struct reply *reply_out,
    void (*each)(const char *line, void *context), void *context)
{
	char copy[LINE_MAX_BYTES + 1];
	size_t used = 0;
	int lines;

	reply_out->code = 0;
	reply_out->status[0] = reply_out->text[0] = '\0';
	for (lines = 0; lines < REPLY_LINES_MAX; lines++) {
		const char *line;
		size_t length;
		bool is_last;
		int code;
		enum reply_result result = reply_result_of(
		    stream_read_line(stream, LINE_MAX_BYTES, &line, &length));

		if (result != REPLY_OK) {
			reply_out->code = 0;
			return result;
		}
		length--; /* LF */
		if (length > 0 && line[length - 1] == '\r')
			length--;
		code = read_code(line, length);
		copy_line(copy, line, length);
		keep_line(reply_out, &used, copy);
		reply_out->code = code;
		if (code == 0)
			return REPLY_GARBAGE;
		is_last = length == 3 || line[3] == ' ';
		if (length > 3) {
			find_status(reply_out, copy + (copy[3] != '\0') + 3);
			if (each != NULL && copy[3] != '\0')
				each(copy + 4, context);
		}
		if (is_last)
			return REPLY_OK;
	}
	reply_out->code = 0;
	return REPLY_GARBAGE;
}

static const struct row {
	const char *code, *status, *pattern;
	struct reply_judgement judgement;
} rows[] = {
#define REPLY(code, status, pattern, class, action, seconds) \
	{ code, status, pattern,                             \
		{ REPLY_CLASS_##class, REPLY_ACTION_##action, seconds } },
#include "remote/replies.tbl"
#undef REPLY
};

/* All parts between '*' are in the text, in this order and in any case. */
static bool
fits(const char *pattern, const char *text)
{
	char part[100];
	size_t length;

	for (; *pattern != '\0'; pattern += length) {
		pattern += *pattern == '*';
		length = strcspn(pattern, "*");
		if (length >= sizeof(part))
			return false;
		memcpy(part, pattern, length);
		part[length] = '\0';
		text = strcasestr(text, part);
		if (text == NULL)
			return false;
		text += length;
	}
	return true;
}

struct reply_judgement
reply_judge(const struct reply *reply)
{
	char code[4] = { (char)('0' + reply->code / 100),
		(char)('0' + reply->code / 10 % 10),
		(char)('0' + reply->code % 10), '\0' };
	size_t i;

	if (reply->code < 400)
		return (struct reply_judgement){ 0 };
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];
		size_t status = strlen(row->status);

		if (strncmp(code, row->code, strlen(row->code)) == 0 &&
		    strncmp(reply->status, row->status, status) == 0 &&
		    fits(row->pattern, reply->text))
			return row->judgement;
	}
	return (struct reply_judgement){ 0 };
}

const char *reply_class_name(enum reply_class class)
{
	static const char *const names[] = {
		[REPLY_CLASS_OTHER] = "other",
		[REPLY_CLASS_MAILBOX_FULL] = "mailbox full",
		[REPLY_CLASS_UNKNOWN_USER] = "unknown user",
		[REPLY_CLASS_POLICY] = "policy",
		[REPLY_CLASS_SPAM] = "spam",
		[REPLY_CLASS_RATE] = "rate",
		[REPLY_CLASS_DNS] = "dns",
		[REPLY_CLASS_TLS] = "tls",
	};

	return names[class];
}
