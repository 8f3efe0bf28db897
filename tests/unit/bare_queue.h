/* SPDX-License-Identifier: ISC */
/*
 * The folders of a queue, made without queue-fix, for tests of what queue-fix
 * itself is made of.  Include after cmocka.h.
 */
#ifndef TESTS_UNIT_BARE_QUEUE_H
#define TESTS_UNIT_BARE_QUEUE_H

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "queue/dir.h"
#include "tests/unit/folder.h"

static inline struct queue_dir *
make_bare_queue(const char *name, unsigned split)
{
	char *path = strdup(folder_path(name)), part[512];
	struct error err = { "" };
	struct queue_dir *dir;
	enum queue_folder kind;
	unsigned i;

	mkdir(path, 0700);
	for (kind = 0; kind < QUEUE_FOLDER_COUNT; kind++) {
		snprintf(
		    part, sizeof(part), "%s/%s", path, queue_folder_name(kind));
		assert_int_equal(mkdir(part, 0700), 0);
		for (i = 0; kind < QUEUE_FOLDER_SPLIT_END && i < split; i++) {
			snprintf(part, sizeof(part), "%s/%s/%u", path,
			    queue_folder_name(kind), i);
			assert_int_equal(mkdir(part, 0700), 0);
		}
	}
	dir = queue_dir_open(path, &err);
	if (dir == NULL)
		fail_msg("%s", err.text);
	free(path);
	return dir;
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)

#endif
