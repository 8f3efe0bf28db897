/* SPDX-License-Identifier: ISC */
/* A command line as words: taken apart, put together, looked through. */
#ifndef ADMINSRV_SERVER_WORDS_H
#define ADMINSRV_SERVER_WORDS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/strlist.h"

enum { WORDS_MAX = 64 };

/*
 * Takes a line apart at blanks.  In '...' everything is itself; in "..." a
 * backslash stands before a quote or another one; outside, before any byte.
 * Nothing else is special: no shell sees the line.  0, or -1 with what is
 * wrong: an open quote, a backslash at the end, too many words.
 */
int words_split(const char *line, struct strlist *words_out, struct error *err);

/* The other way: words_split() of what is added gives these words. */
void words_join(struct buf *line, char *const *words);

/* One part of a command's arguments, as getopt(3) sees it. */
struct word {
	enum word_kind {
		WORD_PLAIN, /* no option: value */
		WORD_OPTION,
		WORD_LONG, /* --NAME[=VALUE] */
		WORD_END   /* -- */
	} kind;
	char letter;
	bool is_known;      /* an option that options names */
	char mark;          /* behind the letter in options; '\0': none */
	const char *value;  /* the argument; of WORD_LONG the name; or NULL */
	size_t index;       /* of the word that value is in */
};

/*
 * Goes through argv behind its first word.  options is that of getopt(3), but
 * that an option with an argument may have one of ":!@&" behind it, which is
 * its mark.  A long option has no argument but behind "=".
 */
void words_walk(char *const *argv, const char *options,
    void (*visit)(const struct word *word, void *context), void *context);

#endif
