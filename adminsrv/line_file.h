/* SPDX-License-Identifier: ISC */
/*
 * A control file of lines, edited: what is not changed stays as it is.
 *
 * A line's key is what stands before its first ':' (all of it without one),
 * without blanks at its end, compared without case; a domain that is not ASCII
 * also has the key of its A-labels.  Lines that begin with '#'
 * and empty lines have no key.  Whoever edits holds the node's lock.
 */
#ifndef ADMINSRV_LINE_FILE_H
#define ADMINSRV_LINE_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct line_file;

/*
 * Loads a file; one that does not exist is empty.  0, and *file_out which the
 * caller frees; -1 when it cannot be read.
 */
int line_file_load(
    const char *path, struct line_file **file_out, struct error *err);
void line_file_free(struct line_file **file);

bool line_file_exists(const struct line_file *file); /* when loaded */

/* The lines with a key, without newline: start with *at 0; NULL after all. */
const char *line_file_next(const struct line_file *file, size_t *at);
/* The first line with the key, or NULL. */
const char *line_file_find(const struct line_file *file, const char *key);
size_t line_file_count(const struct line_file *file);

/* Adds a line at the end; in front of a line "." (which ends users/assign). */
void line_file_add(struct line_file *file, const char *line);
/* Removes every line with the key; true when there was one. */
bool line_file_remove(struct line_file *file, const char *key);

/*
 * Puts the file in place durably, if it was changed; a new one gets mode.
 * last, or NULL, is a line that the file must have at the end of what counts.
 * 0 or -1.
 */
int line_file_save(const struct line_file *file, unsigned mode,
    const char *last, struct error *err);

#endif
