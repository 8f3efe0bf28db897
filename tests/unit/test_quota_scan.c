/* SPDX-License-Identifier: ISC */
#include "mailbox/quota_scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "tests/unit/folder_fd.h"

/* Makes name, in a folder made for it, with "seven.\n" in it. */
static void
put_message(const char *name)
{
	char *path = xasprintf("%s/%s", folder, name);
	int file;

	*strrchr(path, '/') = '\0';
	assert_int_equal(file_make_dirs(path, 0700, NULL), 0);
	free(path);
	file = openat(folder_fd, name, O_WRONLY | O_CREAT | O_EXCL, 0600);
	assert_int_equal(file_write_all(file, "seven.\n", 7), 0);
	close(file);
}

/* Rows are added one after the other: what each adds to the sum. */
static void
what_is_counted(void **state)
{
	static const struct {
		const char *name;
		int64_t bytes, count;
	} rows[] = {
		{ "new/1.M1.h", 7, 1 },
		{ "new/2.M1.h,S=100", 100, 1 },
		{ "cur/3.M1.h,S=200:2,S", 200, 1 },
		{ "cur/4.M1.h,S=300,W=310:2,RS", 300, 1 },
		{ "cur/5.M1.h:2,", 7, 1 },
		{ "cur/6.M1.h,S=x:2,", 7, 1 },
		{ "cur/7.M1.h,S=:2,", 7, 1 },
		{ "cur/8.M1.h,S=99999999999999999999:2,", 7, 1 },
		{ "cur/9.M1.h,S=500:2,ST", 0, 0 },
		{ "new/.hidden,S=500", 0, 0 },
		{ "tmp/1.M1.h,S=500", 0, 0 },
		{ ".Sent/cur/1.M1.h,S=11:2,", 11, 1 },
		{ ".Sent/new/1.M1.h,S=12", 12, 1 },
		{ ".Sent/tmp/1.M1.h,S=500", 0, 0 },
		{ ".Sent.2026/cur/1.M1.h,S=13", 13, 1 },
		{ ".Trash/cur/1.M1.h,S=500", 0, 0 },
		{ ".Trash.old/cur/1.M1.h,S=14", 14, 1 },
		{ "folder/cur/1.M1.h,S=500", 0, 0 },
	};
	struct quota_usage wanted = { 0 }, usage;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		put_message(rows[i].name);
		wanted.bytes += rows[i].bytes;
		wanted.count += rows[i].count;
		assert_int_equal(quota_scan(folder_fd, &usage, NULL), 0);
		if (usage.bytes != wanted.bytes || usage.count != wanted.count)
			fail_msg("after '%s': %lld %lld, wanted %lld %lld",
			    rows[i].name, (long long)usage.bytes,
			    (long long)usage.count, (long long)wanted.bytes,
			    (long long)wanted.count);
	}
	assert_int_equal(setenv("INCLUDE_TRASH", "1", 1), 0);
	assert_int_equal(quota_scan(folder_fd, &usage, NULL), 0);
	unsetenv("INCLUDE_TRASH");
	assert_int_equal(usage.bytes, wanted.bytes + 500);
}

static void
folders_behind_links_are_not_counted(void **state)
{
	struct quota_usage usage;

	(void)state;
	put_message("new/1.M1.h");
	put_message("other/cur/1.M1.h");
	assert_int_equal(symlinkat("other", folder_fd, ".Linked"), 0);
	assert_int_equal(symlinkat("other/cur", folder_fd, "cur"), 0);
	assert_int_equal(quota_scan(folder_fd, &usage, NULL), 0);
	assert_int_equal(usage.bytes, 7);
	assert_int_equal(usage.count, 1);
}

static void
a_folder_that_cannot_be_opened_is_an_error(void **state)
{
	struct quota_usage usage;
	struct rlimit old, none;
	struct error err;
	int result;

	(void)state;
	put_message("new/1.M1.h");
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	result = quota_scan(folder_fd, &usage, &err);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(result, -1);
	assert_non_null(strstr(err.text, "cannot open folder 'new'"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    what_is_counted, folder_fd_setup, folder_fd_teardown),
		cmocka_unit_test_setup_teardown(
		    folders_behind_links_are_not_counted, folder_fd_setup,
		    folder_fd_teardown),
		cmocka_unit_test_setup_teardown(
		    a_folder_that_cannot_be_opened_is_an_error, folder_fd_setup,
		    folder_fd_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
