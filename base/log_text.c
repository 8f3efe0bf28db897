/* SPDX-License-Identifier: ISC */
/* A peer's words in a log line. */
#include "base/log_text.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/utf8.h"

/*
 * Unicode's blanks, line ends and format characters, as direction marks, which
 * are not seen; and C1 controls.
 */
static bool
is_unicode_harmless(uint32_t code)
{
	static const struct {
		uint32_t first, last;
	} harmful[] = {
		{ 0x7f, 0xa0 },
		{ 0xad, 0xad },
		{ 0x600, 0x605 },
		{ 0x61c, 0x61c },
		{ 0x6dd, 0x6dd },
		{ 0x70f, 0x70f },
		{ 0x890, 0x891 },
		{ 0x8e2, 0x8e2 },
		{ 0x1680, 0x1680 },
		{ 0x180e, 0x180e },
		{ 0x2000, 0x200f },
		{ 0x2028, 0x202f },
		{ 0x205f, 0x206f },
		{ 0x3000, 0x3000 },
		{ 0xfeff, 0xfeff },
		{ 0xfff9, 0xfffb },
		{ 0x110bd, 0x110bd },
		{ 0x110cd, 0x110cd },
		{ 0x13430, 0x1343f },
		{ 0x1bca0, 0x1bca3 },
		{ 0x1d173, 0x1d17a },
		{ 0xe0000, 0xe0fff },
	};
	size_t i;

	for (i = 0; i < sizeof(harmful) / sizeof(harmful[0]); i++)
		if (code >= harmful[i].first && code <= harmful[i].last)
			return false;
	return true;
}

size_t
log_word(char *out, size_t size, const char *text)
{
	size_t left = strlen(text), used = 0;

	while (left > 0) {
		uint32_t code;
		size_t length = utf8_decode(text, left, &code);
		bool is_kept = length > 0 && code > ' ' && code != '<' &&
		    code != '>' && is_unicode_harmless(code);

		if (used + (is_kept ? length : 1) >= size)
			break;
		if (length == 0)
			length = 1;
		if (is_kept) {
			memcpy(out + used, text, length);
			used += length;
		} else
			out[used++] = '_';
		text += length;
		left -= length;
	}
	out[used] = '\0';
	return used;
}

size_t
log_clean(char *text, size_t length)
{
	size_t at = 0, used;

	/* Most lines are of these alone. */
	while (at < length && text[at] >= ' ' && text[at] <= '~')
		at++;
	used = at;
	while (at < length) {
		uint32_t code;
		size_t taken = utf8_decode(text + at, length - at, &code);

		if (taken > 0 && code >= ' ' && is_unicode_harmless(code)) {
			memmove(text + used, text + at, taken);
			used += taken;
		} else
			text[used++] = '?';
		at += taken > 0 ? taken : 1;
	}
	return used;
}
