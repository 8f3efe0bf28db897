/* SPDX-License-Identifier: ISC */
/* Tests of svctool/check/names.c. */
#include "svctool/check/check.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "adminsrv/lock.h"
#include "tests/unit/folder.h"

static void
a_missing_file_is_not_made(void **state)
{
	int lock = 0;

	(void)state;
	assert_true(check_lock(folder_path("lock"), &lock));
	assert_int_equal(lock, -1);
	assert_int_equal(access(folder_path("lock"), F_OK), -1);
	check_unlock(lock);
	/* Nor is a link followed, which root could be led away by. */
	folder_write("elsewhere", "", 0);
	assert_int_equal(
	    symlink(folder_path("elsewhere"), folder_path("link")), 0);
	assert_true(check_lock(folder_path("link"), &lock));
	assert_int_equal(lock, -1);
}

/* Others may look at the same time, but nobody may change. */
static void
keeps_who_changes_away(void **state)
{
	int one, two, other;

	(void)state;
	folder_write("lock", "", 0);
	assert_true(check_lock(folder_path("lock"), &one));
	assert_true(check_lock(folder_path("lock"), &two));
	other = open(folder_path("lock"), O_RDWR | O_CLOEXEC);
	assert_int_equal(flock(other, LOCK_EX | LOCK_NB), -1);
	check_unlock(one);
	assert_int_equal(flock(other, LOCK_EX | LOCK_NB), -1);
	check_unlock(two);
	assert_int_equal(flock(other, LOCK_EX | LOCK_NB), 0);
	close(other);
}

static void
a_change_that_goes_on_is_not_looked_at(void **state)
{
	int changing = lock_take(folder_path("lock"), NULL), lock;

	(void)state;
	assert_int_not_equal(changing, -1);
	assert_false(check_lock(folder_path("lock"), &lock));
	assert_int_not_equal(lock, -1);
	check_unlock(lock);
	close(changing);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_missing_file_is_not_made),
		TEST(keeps_who_changes_away),
		TEST(a_change_that_goes_on_is_not_looked_at),
	};

	setenv("MQMAIL_TEST_TIMES", "LOCK_WAIT_MS=50", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
