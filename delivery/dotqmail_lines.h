/* SPDX-License-Identifier: ISC */
/*
 * The lines of a .qmail file, as dot-qmail(5) of qmail has them:
 *
 *	# comment
 *	|program			a command line for sh
 *	/path/  ./path/			a Maildir
 *	/path   ./path			an mbox
 *	&user@host  user@host		forward to
 *	+list				the file is a mailing list's
 *
 * Blank lines, other lines with '+', and blanks and a CR at the end of a line
 * do not count.
 */
#ifndef DELIVERY_DOTQMAIL_LINES_H
#define DELIVERY_DOTQMAIL_LINES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"

enum dotqmail_kind {
	DOTQMAIL_PROGRAM,
	DOTQMAIL_MAILDIR,
	DOTQMAIL_MBOX,
	DOTQMAIL_FORWARD
};

struct dotqmail_line {
	enum dotqmail_kind kind;
	const char *text; /* without the sign in front; points into storage */
	unsigned number;
};

struct dotqmail_lines {
	struct buf storage;
	struct dotqmail_line *items;
	size_t count;
	bool is_list; /* only forwards are allowed */
};

/* So many lines, and bytes of a file. */
enum { DOTQMAIL_LINES_MAX = 10000, DOTQMAIL_BYTES_MAX = 1024 * 1024 };

/*
 * Reads the text.  0; or -1 with the reason, which names the line, when there
 * is one that cannot be followed: an address that is none, a NUL byte, a first
 * line that is blank (as qmail-local says).  Release it in either case.
 */
int dotqmail_lines_read(const char *text, size_t length,
    struct dotqmail_lines *lines_out, struct error *err);
void dotqmail_lines_release(struct dotqmail_lines *lines);

#endif
