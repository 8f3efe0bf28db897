/* SPDX-License-Identifier: ISC */
/* A file of lines, made into the cdb beside it: FILE and FILE.cdb. */
#ifndef CONTROL_CDB_TEXT_H
#define CONTROL_CDB_TEXT_H

#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"
#include "control/cdbmap.h"

struct cdb_text {
	size_t max_bytes;    /* of the file */
	mode_t mode;         /* of a cdb that is new */
	const char *content; /* what to write in the file: "the lines in it" */
	/* Adds what a line says.  0; -1, with errno EINVAL for a bad line. */
	int (*add)(struct cdbmap_writer *writer, const char *line,
	    struct error *err);
};

/*
 * Replaces path.cdb by what the lines of path say, but empty ones and those
 * that begin with '#'.  0; -1 with the reason (PATH:LINE of a bad line), and
 * errno EINVAL or ENOENT when the file itself is at fault.
 */
int cdb_text_compile(
    const char *path, const struct cdb_text *kind, struct error *err);

#endif
