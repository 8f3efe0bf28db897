/* SPDX-License-Identifier: ISC */
/* multilog's folders, as a test wants them: ROOT/SERVICE/FILE. */
#ifndef TESTS_UNIT_LOG_FOLDER_H
#define TESTS_UNIT_LOG_FOLDER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

static char *log_root;

static inline int
log_folder_begin(void **state)
{
	char folder[] = "/tmp/test_log.XXXXXX";

	(void)state;
	assert_non_null(mkdtemp(folder));
	log_root = xstrdup(folder);
	return 0;
}

static inline int
log_folder_end(void **state)
{
	(void)state;
	file_remove_tree(log_root, NULL);
	free(log_root);
	return 0;
}

/* Second N of the tests' time, which begins in 2004. */
#define T(n) "@40000000400000" n "00000000"

/* Puts text behind what the file has. */
static inline void
log_folder_put(const char *service, const char *name, const char *text)
{
	char *folder = xasprintf("%s/%s", log_root, service);
	char *path = xasprintf("%s/%s", folder, name);
	struct error err;
	FILE *file;

	assert_int_equal(file_make_dirs(folder, 0755, &err), 0);
	file = fopen(path, "a");
	assert_non_null(file);
	assert_int_not_equal(fputs(text, file), EOF);
	assert_int_equal(fclose(file), 0);
	free(path);
	free(folder);
}

static inline void
log_folder_rename(const char *service, const char *old, const char *name)
{
	char *from = xasprintf("%s/%s/%s", log_root, service, old);
	char *to = xasprintf("%s/%s/%s", log_root, service, name);

	assert_int_equal(rename(from, to), 0);
	free(from);
	free(to);
}

/* As multilog does when current is full. */
static inline void
log_folder_rotate(const char *service, const char *name)
{
	log_folder_rename(service, "current", name);
}

#endif
