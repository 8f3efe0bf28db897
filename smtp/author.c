/* SPDX-License-Identifier: ISC */
/* Mailboxes of a header's field. */
#include "smtp/author.h"

#include <stdbool.h>
#include <string.h>

/* One address while it is read. */
struct author {
	struct buf *address;
	bool is_in_angle;
	bool is_over;      /* an angle was closed */
	bool has_at;       /* in address */
	bool is_split;     /* two words stand apart: no address, but a name */
	bool needs_joint;  /* a blank was behind a word */
};

static bool
is_bad_byte(char c)
{
	return (unsigned char)c == 127 || (unsigned char)c < ' ';
}

/* A word of a name or an address: an atom, with the dots in it. */
static bool
put_word(struct author *author, const char *word, size_t length)
{
	if (author->is_over)
		return false;
	if (author->needs_joint && author->address->length > 0)
		author->is_split = true;
	author->needs_joint = false;
	buf_add(author->address, word, length);
	return true;
}

/* A quoted string or a literal, behind it; NULL: it is none. */
static const char *
put_enclosed(struct author *author, const char *at, const char *end)
{
	char close = *at == '[' ? ']' : '"';
	bool is_quoted = close == '"';

	/* "[" is where a domain begins, '"' where a local part does. */
	if (is_quoted == author->has_at ||
	    (!is_quoted && author->address->length > 0 &&
		author->address->data[author->address->length - 1] != '@') ||
	    !put_word(author, at, is_quoted ? 0 : 1))
		return NULL;
	for (at++; at < end && *at != close; at++) {
		if (*at == '\\' && at + 1 < end)
			at++;
		if (is_bad_byte(*at) && *at != '\t' && *at != '\n')
			return NULL;
		if (*at != '\n')
			buf_addc(author->address, *at);
	}
	if (at == end)
		return NULL;
	if (!is_quoted)
		buf_addc(author->address, ']');
	return at + 1;
}

/* Comments nest. */
static const char *
skip_comment(const char *at, const char *end)
{
	unsigned depth = 1;

	for (at++; at < end && *at != '\0' && depth > 0; at++) {
		if (*at == '\\' && at + 1 < end && at[1] != '\0')
			at++;
		else if (*at == ')')
			depth--;
		else if (*at == '(')
			depth++;
	}
	return depth == 0 ? at : NULL;
}

/* What stood before was a name. */
static void
begin_address(struct author *author)
{
	buf_reset(author->address);
	author->is_split = author->needs_joint = author->has_at = false;
}

static bool
put_mark(struct author *author, char c)
{
	switch (c) {
	case '<':
		if (author->is_in_angle || author->is_over || author->has_at)
			return false;
		begin_address(author);
		author->is_in_angle = true;
		return true;
	case '>':
		if (!author->is_in_angle)
			return false;
		author->is_in_angle = false;
		author->is_over = true;
		return true;
	case ':': /* a group's name; routes are nobody's today */
		if (author->is_in_angle || author->is_over || author->has_at)
			return false;
		begin_address(author);
		return true;
	case '@':
		if (author->has_at || author->is_over ||
		    author->address->length == 0)
			return false;
		author->has_at = true;
		author->needs_joint = false;
		buf_addc(author->address, '@');
		return true;
	default: /* ")", "]", "\" */
		return false;
	}
}

/* Is what was read an address? */
static bool
is_whole(const struct author *author)
{
	const struct buf *address = author->address;

	return author->has_at && !author->is_split && !author->is_in_angle &&
	    address->data[address->length - 1] != '@';
}

static bool
is_separator(char c)
{
	return c == ',' || c == ';' || c == '\0';
}

/* Behind a token; NULL: it is none.  Separators are the caller's. */
static const char *
read_token(struct author *author, const char *at, const char *end)
{
	static const char specials[] = "()<>[]:;@,\" \t\n\\";
	const char *start = at;

	switch (*at) {
	case ' ':
	case '\t':
	case '\n':
		/* Around "@" nothing is to be joined. */
		author->needs_joint = author->address->length > 0 &&
		    author->address->data[author->address->length - 1] != '@';
		return at + 1;
	case '(':
		author->needs_joint = author->address->length > 0 &&
		    author->address->data[author->address->length - 1] != '@';
		return skip_comment(at, end);
	case '"':
	case '[':
		return put_enclosed(author, at, end);
	default:
		break;
	}
	while (at < end && !is_bad_byte(*at) && strchr(specials, *at) == NULL)
		at++;
	if (at > start)
		return put_word(author, start, (size_t)(at - start)) ? at
								     : NULL;
	return put_mark(author, *at) ? at + 1 : NULL;
}

int
author_next(const char **at_in, const char *end, struct buf *address_out)
{
	struct author author = { .address = address_out };
	const char *at = *at_in;
	bool goes_on;

	if (at == end) /* both may be NULL */
		return 0;
	do {
		buf_reset(address_out);
		author = (struct author){ .address = address_out };
		while (at != NULL && at < end && !is_separator(*at))
			at = read_token(&author, at, end);
		if (at == NULL)
			return -1;
		goes_on = at < end;
		at += goes_on;
		/* Lists may have empty places, as behind a group. */
	} while (goes_on && address_out->length == 0 && !author.is_over &&
	    !author.is_in_angle);
	*at_in = at;
	if (is_whole(&author))
		return 1;
	return address_out->length == 0 && !author.is_over &&
		!author.is_in_angle
	    ? 0
	    : -1;
}
