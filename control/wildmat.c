/* SPDX-License-Identifier: ISC */
/* wildmat patterns. */
#include "control/wildmat.h"

#include <string.h>

static unsigned char
fold(char c)
{
	return (unsigned char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

/* The ']' that closes the set at '[', or NULL.  The first may be a ']'. */
static const char *
set_end(const char *set)
{
	const char *at = set + 1;

	if (*at == '^')
		at++;
	return *at == '\0' ? NULL : strchr(at + 1, ']');
}

static bool
set_has(const char *set, const char *end, char c)
{
	const char *at = set + 1;
	bool is_negated = *at == '^';
	bool is_in = false;

	if (is_negated)
		at++;
	while (at < end) {
		unsigned char low = fold(*at), high = low;

		if (at[1] == '-' && at + 2 < end) {
			high = fold(at[2]);
			at += 3;
		} else
			at++;
		if (low <= fold(c) && fold(c) <= high)
			is_in = true;
	}
	return is_in != is_negated;
}

/* Matches one byte; NULL, or what follows in the pattern. */
static const char *
match_one(const char *pattern, char c)
{
	const char *end;

	if (*pattern == '?')
		return pattern + 1;
	if (*pattern == '[' && (end = set_end(pattern)) != NULL)
		return set_has(pattern, end, c) ? end + 1 : NULL;
	if (*pattern == '\\' && pattern[1] != '\0')
		pattern++;
	return *pattern != '\0' && fold(*pattern) == fold(c) ? pattern + 1
							     : NULL;
}

/*
 * Only the last '*' is ever gone back to: an earlier one cannot gain by taking
 * more, because what is between them matched already.
 */
bool
wildmat_match(const char *pattern, const char *text)
{
	const char *star = NULL, *star_text = NULL;

	while (*text != '\0') {
		const char *next;

		if (*pattern == '*') {
			star = ++pattern;
			star_text = text;
			continue;
		}
		next = match_one(pattern, *text);
		if (next != NULL) {
			pattern = next;
			text++;
		} else if (star != NULL) {
			pattern = star;
			text = ++star_text;
		} else
			return false;
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}
