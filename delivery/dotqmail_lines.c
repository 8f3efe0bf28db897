/* SPDX-License-Identifier: ISC */
/* The lines of a .qmail file. */
#include "delivery/dotqmail_lines.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { SHOWN_MAX = 80 };

/*
 * An address as an envelope may have it: no blanks and no control bytes, and
 * nothing empty around the '@', which may be missing (envnoathost).
 */
static bool
is_forward_address(const char *text)
{
	const char *at = strrchr(text, '@');

	for (const char *c = text; *c != '\0'; c++)
		if ((unsigned char)*c <= ' ' || *c == 127)
			return false;
	return at != text && *text != '\0' && (at == NULL || at[1] != '\0');
}

static int
add_line(struct dotqmail_lines *lines, enum dotqmail_kind kind,
    const char *text, unsigned number, struct error *err)
{
	if (lines->count == DOTQMAIL_LINES_MAX)
		return error_set(
		    err, "it has more than %d lines", DOTQMAIL_LINES_MAX);
	lines->items = mem_room(
	    lines->items, lines->count, sizeof(*lines->items));
	lines->items[lines->count++] = (struct dotqmail_line){ kind, text,
		number };
	return 0;
}

static int
read_line(struct dotqmail_lines *lines, const char *line, unsigned number,
    struct error *err)
{
	const char *text = line;

	switch (*line) {
	case '\0':
	case '#':
		return 0;
	case '+':
		if (strcmp(line, "+list") == 0)
			lines->is_list = true;
		return 0;
	case '|':
		text++;
		text += strspn(text, " \t");
		if (*text == '\0')
			return error_set(
			    err, "line %u names no program behind '|'", number);
		return add_line(lines, DOTQMAIL_PROGRAM, text, number, err);
	case '/':
	case '.':
		return add_line(lines,
		    line[strlen(line) - 1] == '/' ? DOTQMAIL_MAILDIR
						  : DOTQMAIL_MBOX,
		    text, number, err);
	case '&':
		text++;
		text += strspn(text, " \t");
		break;
	}
	if (!is_forward_address(text))
		return error_set(err,
		    "line %u, '%.*s', is neither an address nor a path nor a "
		    "program behind '|'",
		    number, SHOWN_MAX, line);
	return add_line(lines, DOTQMAIL_FORWARD, text, number, err);
}

int
dotqmail_lines_read(const char *text, size_t length,
    struct dotqmail_lines *lines_out, struct error *err)
{
	unsigned number = 0;
	char *line, *rest;

	*lines_out = (struct dotqmail_lines){ .storage = BUF_INIT };
	if (length == 0)
		return 0;
	if (memchr(text, '\0', length) != NULL)
		return error_set(err, "it has a NUL byte");
	if (*text == '\n')
		return error_set(err, "its first line is blank");
	buf_add(&lines_out->storage, text, length);
	rest = lines_out->storage.data;
	while ((line = strsep(&rest, "\n")) != NULL) {
		size_t end = strlen(line);

		while (end > 0 && strchr(" \t\r", line[end - 1]) != NULL)
			line[--end] = '\0';
		if (read_line(lines_out, line, ++number, err) == -1)
			return -1;
	}
	return 0;
}

void
dotqmail_lines_release(struct dotqmail_lines *lines)
{
	buf_release(&lines->storage);
	free(lines->items);
	*lines = (struct dotqmail_lines){ .storage = BUF_INIT };
}
