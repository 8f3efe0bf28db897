/* SPDX-License-Identifier: ISC */
/* adminsrv/user_info.c: what a user's Maildir holds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "adminsrv/user_info.h"
#include "tests/unit/folder.h"

static void
finds_usage(void **state)
{
	static const struct {
		const char *name, *quota;
		const char *maildirsize; /* NULL: none */
		int64_t bytes, count;
	} rows[] = {
		{ "by looking", "NOQUOTA", NULL, 107, 2 },
		{ "by maildirsize", "5000S", "5000S\n900 9\n", 900, 9 },
		{ "made for another quota", "5000S", "4000S\n900 9\n", 107, 2 },
		{ "damaged", "5000S", "5000S\nnonsense\n", 107, 2 },
	};

	(void)state;
	assert_int_equal(
	    file_make_dirs(folder_path("Maildir/new"), 0700, NULL), 0);
	assert_int_equal(
	    file_make_dirs(folder_path("Maildir/cur"), 0700, NULL), 0);
	folder_write("Maildir/new/1.a,S=100", "x", 1);
	folder_write("Maildir/cur/2.a:2,S", "1234567", 7);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct vpasswd_entry entry = {
			.name = "alice", .dir = folder, .quota = rows[i].quota
		};
		struct quota_usage usage;
		struct error err = { "" };
		int found;

		if (rows[i].maildirsize != NULL)
			folder_write("Maildir/maildirsize", rows[i].maildirsize,
			    strlen(rows[i].maildirsize));
		found = user_info_usage(&entry, &usage, &err);
		if (found != 1 || usage.bytes != rows[i].bytes ||
		    usage.count != rows[i].count)
			fail_msg("%s: got %d, %ld bytes, %ld messages (%s)",
			    rows[i].name, found, (long)usage.bytes,
			    (long)usage.count, err.text);
	}
}

static void
tells_absent_from_unreadable(void **state)
{
	struct vpasswd_entry entry = {
		.name = "alice", .dir = folder, .quota = "NOQUOTA"
	};
	struct quota_usage usage;
	struct error err = { "" };

	(void)state;
	assert_int_equal(user_info_usage(&entry, &usage, &err), 0);
	folder_write("Maildir", "no folder", 9);
	assert_int_equal(user_info_usage(&entry, &usage, &err), -1);
	assert_non_null(strstr(err.text, "Maildir"));
}

int
main(void)
{
#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)
	const struct CMUnitTest tests[] = {
		TEST(finds_usage),
		TEST(tells_absent_from_unreadable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
