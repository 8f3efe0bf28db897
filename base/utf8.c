/* SPDX-License-Identifier: ISC */
/* UTF-8. */
#include "base/utf8.h"

#include <ctype.h>

size_t
utf8_decode(const char *text, size_t length, uint32_t *code_out)
{
	static const uint32_t lowest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	unsigned char first;
	size_t wanted, i;
	uint32_t code;

	if (length == 0)
		return 0;
	first = (unsigned char)*text;
	*code_out = first;
	if (first < 0x80)
		return 1;
	wanted = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
	if (first < 0xc2 || first > 0xf4 || length < wanted)
		return 0;
	code = first & (0xffu >> (wanted + 1));
	for (i = 1; i < wanted; i++) {
		unsigned char byte = (unsigned char)text[i];

		if ((byte & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (byte & 0x3f);
	}
	if (code < lowest[wanted] || code > 0x10ffff ||
	    (code >= 0xd800 && code <= 0xdfff))
		return 0;
	*code_out = code;
	return wanted;
}

void
ascii_lower(char *out, const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		out[i] = (char)tolower((unsigned char)text[i]);
}
