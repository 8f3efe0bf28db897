/* SPDX-License-Identifier: ISC */
/* A folder of its own for one test. */
#ifndef TESTS_UNIT_TEMPDIR_H
#define TESTS_UNIT_TEMPDIR_H

#include <stdlib.h>

#include "base/file.h"
#include "base/mem.h"

/* The path; tempdir_remove() frees it. */
static inline char *
tempdir_make(void)
{
	const char *parent = getenv("TMPDIR");
	char *path = xasprintf(
	    "%s/mqmail-test.XXXXXX", parent != NULL ? parent : "/tmp");

	if (mkdtemp(path) == NULL)
		abort();
	return path;
}

static inline void
tempdir_remove(char *path)
{
	if (file_remove_tree(path, NULL) == -1)
		abort();
	free(path);
}

#endif
