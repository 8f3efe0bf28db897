/* SPDX-License-Identifier: ISC */
/*
 * A folder of a test program's own, for its files.  Include after cmocka.h.
 */
#ifndef TESTS_UNIT_FOLDER_H
#define TESTS_UNIT_FOLDER_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

static char folder[] = "/tmp/mqmail-unit.XXXXXX";

static inline int
folder_setup(void **state)
{
	(void)state;
	memcpy(folder + strlen(folder) - 6, "XXXXXX", 6);
	return mkdtemp(folder) == NULL;
}

static inline int
folder_teardown(void **state)
{
	struct error err;

	(void)state;
	return file_remove_tree(folder, &err);
}

/* A path below the folder, good until the fourth next call. */
static inline const char *
folder_path(const char *name)
{
	static char paths[4][256];
	static unsigned next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
	return path;
}

static inline void
folder_write(const char *name, const char *data, size_t length)
{
	FILE *file = fopen(folder_path(name), "w");

	assert_non_null(file);
	assert_int_equal(fwrite(data, 1, length, file), length);
	assert_int_equal(fclose(file), 0);
}

#endif
