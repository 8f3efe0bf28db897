/* SPDX-License-Identifier: ISC */
/*
 * A pattern, a NUL, a text: the matcher against a plain one that tries
 * everything, and in a time that does not explode.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "control/wildmat.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PLAIN_MAX = 12 }; /* what the plain one can do in time */

static int
lower(int c)
{
	return c >= 'A' && c <= 'Z' ? c + 32 : c;
}

/* One byte against the pattern's first element, whose length is set. */
static bool
plain_one(const unsigned char *pattern, int c, size_t *length_out)
{
	const unsigned char *at = pattern + 1, *end;
	bool is_negated, is_in = false;

	*length_out = 1;
	if (*pattern == '?')
		return true;
	if (*pattern == '\\' && pattern[1] != '\0') {
		*length_out = 2;
		return lower(pattern[1]) == lower(c);
	}
	is_negated = *pattern == '[' && *at == '^';
	at += is_negated;
	end = *pattern != '[' || *at == '\0'
	    ? NULL
	    : (const unsigned char *)strchr((const char *)at + 1, ']');
	if (end == NULL)
		return lower(*pattern) == lower(c);
	*length_out = (size_t)(end - pattern) + 1;
	while (at < end) {
		if (at + 2 < end && at[1] == '-') {
			is_in |= lower(at[0]) <= lower(c) &&
			    lower(c) <= lower(at[2]);
			at += 3;
		} else
			is_in |= lower(*at++) == lower(c);
	}
	return is_in != is_negated;
}

static bool
plain_match(const unsigned char *pattern, const unsigned char *text)
{
	size_t length;

	if (*pattern == '\0')
		return *text == '\0';
	if (*pattern == '*')
		return plain_match(pattern + 1, text) ||
		    (*text != '\0' && plain_match(pattern, text + 1));
	return *text != '\0' && plain_one(pattern, *text, &length) &&
	    plain_match(pattern + length, text + 1);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t length = strnlen((const char *)data, size);
	char *pattern, *text;
	bool matches;

	if (length == size)
		return 0;
	pattern = xstrndup((const char *)data, length);
	text = xstrndup((const char *)data + length + 1, size - length - 1);
	matches = wildmat_match(pattern, text);
	if (strlen(pattern) <= PLAIN_MAX && strlen(text) <= PLAIN_MAX)
		assert(matches ==
		    plain_match((const unsigned char *)pattern,
			(const unsigned char *)text));
	free(pattern);
	free(text);
	return 0;
}
