/* SPDX-License-Identifier: ISC */
/* The lines of a text that was read whole, one after the other, in place. */
#ifndef BASE_LINES_H
#define BASE_LINES_H

#include "base/buf.h"
#include "base/error.h"

struct lines {
	char *at, *end;
	unsigned number; /* of the line that lines_next() gave last, from 1 */
};

/* The text is borrowed, and changed. */
void lines_open(struct lines *lines, struct buf *text);

/*
 * The next line, without its newline and blanks at its end.  1; 0 after the
 * last; -1 with the reason when it has a NUL byte.
 */
int lines_next(struct lines *lines, char **line_out, struct error *err);

#endif
