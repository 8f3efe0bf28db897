/* SPDX-License-Identifier: ISC */
#include "mailbox/maildir_tmp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/folder_fd.h"

static void
put_file(const char *name)
{
	int file = openat(folder_fd, name, O_WRONLY | O_CREAT | O_EXCL, 0600);

	assert_int_not_equal(file, -1);
	close(file);
}

static int
count_files(void)
{
	DIR *dir = opendir(folder);
	int count = 0;

	assert_non_null(dir);
	while (readdir(dir) != NULL)
		count++;
	closedir(dir);
	return count - 2;
}

static void
only_old_files_go(void **state)
{
	static const struct {
		const char *name;
		time_t ahead_s; /* the clock */
		time_t date_s;  /* the file's own date */
		bool is_there;
	} rows[] = {
		{ "new", 0, 0, true },
		{ "of 35 hours", 35 * 3600, 0, true },
		{ "of 37 hours", 37 * 3600, 0, false },
		{ "new with an old date", 0, -1000000, true },
		{ "old with a late date", 37 * 3600, 36 * 3600, true },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		time_t now = time(NULL);
		struct timespec times[2] = {
			{ .tv_sec = now + rows[i].date_s },
			{ .tv_sec = now + rows[i].date_s },
		};

		put_file("x");
		assert_int_equal(utimensat(folder_fd, "x", times, 0), 0);
		maildir_tmp_clean(folder_fd, now + rows[i].ahead_s);
		if ((count_files() == 1) != rows[i].is_there)
			fail_msg("%s", rows[i].name);
		unlinkat(folder_fd, "x", 0);
	}
}

static void
only_files_go(void **state)
{
	(void)state;
	assert_int_equal(mkdirat(folder_fd, "folder", 0700), 0);
	assert_int_equal(symlinkat("folder", folder_fd, "link"), 0);
	maildir_tmp_clean(folder_fd, time(NULL) + 100 * 3600);
	assert_int_equal(count_files(), 2);
}

static void
the_work_is_bounded(void **state)
{
	char name[20];
	int i;

	(void)state;
	for (i = 0; i < 250; i++) {
		snprintf(name, sizeof(name), "%d", i);
		put_file(name);
	}
	for (i = 150; i >= -50; i -= 100) {
		maildir_tmp_clean(folder_fd, time(NULL) + 37 * 3600);
		assert_int_equal(count_files(), i > 0 ? i : 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    only_old_files_go, folder_fd_setup, folder_fd_teardown),
		cmocka_unit_test_setup_teardown(
		    only_files_go, folder_fd_setup, folder_fd_teardown),
		cmocka_unit_test_setup_teardown(
		    the_work_is_bounded, folder_fd_setup, folder_fd_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
