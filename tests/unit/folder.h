/* SPDX-License-Identifier: ISC */
/*
 * A folder of a test's own, for its files: on the disk, or in memory for a test
 * that defines FOLDER_IN_MEMORY first, as it has a disk of its own making or
 * writes small files by the thousand.  Include after cmocka.h.
 */
#ifndef TESTS_UNIT_FOLDER_H
#define TESTS_UNIT_FOLDER_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

#ifdef FOLDER_IN_MEMORY
static char folder[] = "/dev/shm/mqmail-unit.XXXXXX";
#else
static char folder[] = "/tmp/mqmail-unit.XXXXXX";
#endif

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
	static _Thread_local char paths[4][256];
	static _Thread_local unsigned next;
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
