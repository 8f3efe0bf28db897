/* SPDX-License-Identifier: ISC */
/* Tests of mailbox/over_quota.c. */
#include "mailbox/over_quota.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <unistd.h>

#include "tests/unit/folder.h"

enum { NOW = 1000000 };

static const struct quota quota = { 1000, 10 };
static const struct quota_usage usage = { 900, 3 };

static struct over_quota *
open_marks(void)
{
	struct over_quota *marks;

	folder_write("overquota", "", 0);
	marks = over_quota_open(folder_path("overquota"), true);
	assert_non_null(marks);
	over_quota_set(marks, "/m/alice", &quota, &usage, 50, NOW);
	return marks;
}

static void
refuses_what_surely_does_not_fit(void **state)
{
	static const struct quota other = { 2000, 10 };
	static const struct quota_usage many = { 10, 10 };
	static const struct {
		const char *dir;
		const struct quota *quota;
		uint64_t size;
		time_t now;
		bool is_refused;
	} rows[] = {
		{ "/m/alice", &quota, 101, NOW, true },
		{ "/m/alice", &quota, UINT64_MAX, NOW, true },
		{ "/m/alice", &quota, 100, NOW, false },
		{ "/m/alice", &quota, 0, NOW, false },
		{ "/m/alice", &quota, 101, NOW + OVER_QUOTA_MARK_S - 1, true },
		{ "/m/alice", &quota, 101, NOW + OVER_QUOTA_MARK_S, false },
		{ "/m/alice", &quota, 101, NOW - 1, false },
		{ "/m/alice", &other, 101, NOW, false },
		{ "/m/bob", &quota, 101, NOW, false },
		/* Too many messages. */
		{ "/m/carol", &quota, 51, NOW, true },
		{ "/m/carol", &quota, 50, NOW, false },
	};
	struct over_quota *marks = open_marks();

	(void)state;
	over_quota_set(marks, "/m/carol", &quota, &many, 50, NOW);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (over_quota_refuses(marks, rows[i].dir, rows[i].quota,
			rows[i].size, rows[i].now) != rows[i].is_refused)
			fail_msg("row %zu", i);
	over_quota_clear(marks, "/m/alice");
	assert_false(over_quota_refuses(marks, "/m/alice", &quota, 101, NOW));
	over_quota_free(&marks);
}

static void
what_is_damaged_is_no_mark(void **state)
{
	struct over_quota *marks = open_marks();
	int fd = open(folder_path("overquota"), O_WRONLY);

	(void)state;
	for (off_t at = 40; at < 65536L * 64; at += 64)
		assert_int_equal(pwrite(fd, "x", 1, at), 1);
	close(fd);
	assert_false(over_quota_refuses(marks, "/m/alice", &quota, 101, NOW));
	over_quota_free(&marks);
	assert_null(over_quota_open(folder_path("none"), false));
	over_quota_set(NULL, "/m/alice", &quota, &usage, 0, NOW);
	over_quota_clear(NULL, "/m/alice");
	assert_false(over_quota_refuses(NULL, "/m/alice", &quota, 101, NOW));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    refuses_what_surely_does_not_fit, folder_setup,
		    folder_teardown),
		cmocka_unit_test_setup_teardown(
		    what_is_damaged_is_no_mark, folder_setup, folder_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
