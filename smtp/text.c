/* SPDX-License-Identifier: ISC */
/* Bytes of a peer, made fit for a header field and a reply. */
#include "smtp/text.h"

#include <string.h>

static bool
is_header_safe(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') ||
	    (c != '\0' && strchr(".@%+/=:_~-[]", c) != NULL);
}

void
smtp_text_put_header(struct buf *buf, const char *text, size_t max)
{
	for (; *text != '\0' && max > 0; text++, max--)
		buf_addc(buf, is_header_safe(*text) ? *text : '?');
}

bool
smtp_text_is_plain(const char *text)
{
	for (; *text != '\0'; text++)
		if (*text <= ' ' || *text > '~' || *text == '<' || *text == '>')
			return false;
	return true;
}

const char *
smtp_text_status(const char *text, size_t *length_out)
{
	const char *found = NULL, *at;

	for (at = text; (at = strstr(at, "(#")) != NULL; at += 2)
		found = at + 2;
	if (found == NULL)
		return NULL;
	*length_out = strspn(found, "0123456789.");
	if (*length_out < 5 || *length_out > 9 || found[1] != '.' ||
	    (found[0] != '2' && found[0] != '4' && found[0] != '5') ||
	    found[*length_out] != ')')
		return NULL;
	return found;
}
