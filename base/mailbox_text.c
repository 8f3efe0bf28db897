/* SPDX-License-Identifier: ISC */
/* A mailbox of an envelope as it stands in a message. */
#include "base/mailbox_text.h"

#include <string.h>

static bool
is_control_byte(unsigned char c)
{
	return c < ' ' || c == 127;
}

static size_t
local_length(const char *mailbox)
{
	const char *at = strrchr(mailbox, '@');

	return at == NULL ? strlen(mailbox) : (size_t)(at - mailbox);
}

static void
put_without_controls(struct buf *buf, const char *text, size_t length)
{
	size_t i;

	for (i = 0; i < length; i++)
		buf_addc(buf,
		    is_control_byte((unsigned char)text[i]) ? '_' : text[i]);
}

/* RFC 5321 4.1.2 Dot-string; RFC 6531 3.3 adds the bytes of UTF-8. */
static bool
is_dot_string(const char *text, size_t length)
{
	static const char specials[] = " \"(),:;<>@[\\]";
	char before = '.';
	size_t i;

	for (i = 0; i < length; i++) {
		if (strchr(specials, text[i]) != NULL ||
		    is_control_byte((unsigned char)text[i]))
			return false;
		if (text[i] == '.' && before == '.')
			return false;
		before = text[i];
	}
	return before != '.';
}

static void
put_quoted_string(struct buf *buf, const char *text, size_t length)
{
	size_t i;

	buf_addc(buf, '"');
	for (i = 0; i < length; i++) {
		if (text[i] == '"' || text[i] == '\\')
			buf_addc(buf, '\\');
		put_without_controls(buf, text + i, 1);
	}
	buf_addc(buf, '"');
}

void
mailbox_put_quoted(struct buf *buf, const char *mailbox)
{
	size_t local = local_length(mailbox);

	if (*mailbox == '\0')
		return;
	if (is_dot_string(mailbox, local))
		buf_add(buf, mailbox, local);
	else
		put_quoted_string(buf, mailbox, local);
	put_without_controls(buf, mailbox + local, strlen(mailbox + local));
}

bool
mailbox_is_quoted(const char *mailbox)
{
	size_t local = local_length(mailbox), i;

	if (local < 2 || mailbox[0] != '"' || mailbox[local - 1] != '"')
		return false;
	for (i = 1; i < local - 1; i++) {
		if (mailbox[i] == '"' ||
		    is_control_byte((unsigned char)mailbox[i]))
			return false;
		if (mailbox[i] == '\\' && ++i == local - 1)
			return false;
	}
	return true;
}
