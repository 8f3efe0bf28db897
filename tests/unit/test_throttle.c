/* SPDX-License-Identifier: ISC */
/* auth/throttle.c: failed logins are counted, slowed down and locked out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "auth/throttle.h"
#include "base/clock.h"
#include "tests/unit/folder.h"

enum { LOCK_MS = 60 * 1000, DELAY_MS = 100 };

static const struct throttle_limits limits = {
	.per_ip = 5, .per_name = 3, .lock_ms = LOCK_MS, .delay_ms = DELAY_MS
};

static void
test_each_failure_takes_longer(void **state)
{
	struct throttle *throttle = throttle_new(100, &limits);

	(void)state;
	assert_int_equal(throttle_fail(throttle, "192.0.2.1", "a", 0), 100);
	assert_int_equal(throttle_fail(throttle, "192.0.2.1", "b", 0), 200);
	assert_int_equal(throttle_fail(throttle, "192.0.2.2", "b", 0), 200);
	assert_int_equal(throttle_fail(throttle, "192.0.2.1", "c", 0), 300);
	assert_int_equal(throttle_fail(throttle, "192.0.2.1", "d", 0), 400);
	assert_int_equal(throttle_fail(throttle, "192.0.2.1", "e", 0), 400);
	throttle_free(&throttle);
}

static void
test_name_is_locked_out_for_a_time(void **state)
{
	struct throttle *throttle = throttle_new(100, &limits);

	(void)state;
	throttle_fail(throttle, "192.0.2.1", "a", 0);
	throttle_fail(throttle, "192.0.2.2", "a", 0);
	assert_int_equal(throttle_locked_ms(throttle, "::1", "a", 0), 0);
	throttle_fail(throttle, "192.0.2.3", "a", 1000);
	assert_int_equal(
	    throttle_locked_ms(throttle, "::1", "a", 1000), LOCK_MS);
	assert_int_equal(throttle_locked_ms(throttle, "::1", "b", 1000), 0);
	assert_int_equal(
	    throttle_locked_ms(throttle, "::1", "a", 1000 + LOCK_MS), 0);
	/* All that is over then. */
	throttle_fail(throttle, "192.0.2.3", "a", 1001 + LOCK_MS);
	assert_int_equal(
	    throttle_locked_ms(throttle, "::1", "a", 1001 + LOCK_MS), 0);
	throttle_free(&throttle);
}

static void
test_address_is_locked_out_whatever_the_name(void **state)
{
	struct throttle *throttle = throttle_new(100, &limits);
	char name[2] = "a";

	(void)state;
	for (int i = 0; i < 5; i++, name[0]++)
		throttle_fail(throttle, "2001:db8::1", name, 0);
	assert_true(throttle_locked_ms(throttle, "2001:db8::1", "z", 0) > 0);
	assert_true(throttle_locked_ms(throttle, "2001:db8::2", "z", 0) > 0);
	assert_true(
	    throttle_locked_ms(throttle, "2001:db8:0:1::2", "z", 0) == 0);
	throttle_free(&throttle);
}

static void
test_who_logged_in_there_is_not_locked_out_by_others(void **state)
{
	struct throttle *throttle = throttle_new(100, &limits);

	(void)state;
	throttle_pass(throttle, "192.0.2.9", "a", 0);
	for (int i = 0; i < 3; i++)
		throttle_fail(throttle, "192.0.2.1", "a", 0);
	assert_true(throttle_locked_ms(throttle, "192.0.2.1", "a", 0) > 0);
	assert_int_equal(throttle_locked_ms(throttle, "192.0.2.9", "a", 0), 0);
	throttle_free(&throttle);
}

static void
test_success_forgets_failures_of_the_name(void **state)
{
	struct throttle *throttle = throttle_new(100, &limits);

	(void)state;
	for (int i = 0; i < 4; i++) {
		throttle_fail(throttle, "192.0.2.1", "a", 0);
		throttle_pass(throttle, "192.0.2.1", "a", 0);
	}
	assert_int_equal(throttle_locked_ms(throttle, "::1", "a", 0), 0);
	throttle_free(&throttle);
}

static void
test_flood_of_names_does_not_open_a_lock(void **state)
{
	struct throttle *throttle = throttle_new(64, &limits);
	char name[32];

	(void)state;
	for (int i = 0; i < 3; i++)
		throttle_fail(throttle, "192.0.2.1", "victim", 0);
	for (int i = 0; i < 100000; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		throttle_fail(throttle, name, name, 1);
	}
	assert_true(throttle_locked_ms(throttle, "::1", "victim", 2) > 0);
	throttle_free(&throttle);
}

static void
test_interval_between_logins(void **state)
{
	struct throttle *throttle = throttle_new(100, &limits);

	(void)state;
	assert_int_equal(
	    throttle_interval_ms(throttle, "pop3", "a", 5000, 0), 0);
	assert_int_equal(
	    throttle_interval_ms(throttle, "pop3", "a", 5000, 1000), 4000);
	assert_int_equal(
	    throttle_interval_ms(throttle, "imap", "a", 5000, 1000), 0);
	assert_int_equal(
	    throttle_interval_ms(throttle, "pop3", "a", 5000, 5000), 0);
	assert_int_equal(
	    throttle_interval_ms(throttle, "pop3", "a", 0, 5001), 0);
	throttle_free(&throttle);
}

/* As another process has it. */
static struct throttle *
open_shared(const struct throttle_limits *some_limits)
{
	struct throttle *throttle = throttle_new(100, some_limits);
	struct error err;

	if (throttle_share(throttle, folder_path("logins"), &err) == -1)
		fail_msg("%s", err.text);
	return throttle;
}

static int
make_shared(void **state)
{
	if (folder_setup(state) != 0)
		return -1;
	folder_write("logins", "", 0);
	return 0;
}

static void
test_processes_count_together(void **state)
{
	struct throttle *smtp = open_shared(&limits);
	struct throttle *pop3 = open_shared(&limits);
	unsigned char one[THROTTLE_SECRET_SIZE], other[THROTTLE_SECRET_SIZE];

	(void)state;
	assert_int_equal(throttle_fail(smtp, "192.0.2.1", "a", 0), 100);
	assert_int_equal(throttle_fail(pop3, "192.0.2.2", "a", 0), 200);
	assert_int_equal(throttle_locked_ms(smtp, "::1", "a", 0), 0);
	assert_int_equal(throttle_fail(smtp, "192.0.2.3", "a", 0), 300);
	assert_int_equal(throttle_locked_ms(pop3, "::1", "a", 0), LOCK_MS);
	assert_int_equal(
	    throttle_interval_ms(smtp, "pop3", "a", 5000, 0), 0);
	assert_int_equal(
	    throttle_interval_ms(pop3, "pop3", "a", 5000, 1000), 4000);
	throttle_secret(smtp, one);
	throttle_free(&smtp);
	throttle_free(&pop3);
	/* A restart forgets nothing. */
	smtp = open_shared(&limits);
	assert_int_equal(throttle_locked_ms(smtp, "::1", "a", 1), LOCK_MS - 1);
	throttle_secret(smtp, other);
	assert_memory_equal(one, other, sizeof(one));
	throttle_free(&smtp);
}

static void
test_emptying_the_file_forgets(void **state)
{
	struct throttle *one = open_shared(&limits);
	struct throttle *other = open_shared(&limits);
	unsigned char before[THROTTLE_SECRET_SIZE], after[THROTTLE_SECRET_SIZE];

	(void)state;
	throttle_secret(one, before);
	for (int i = 0; i < 3; i++)
		throttle_fail(one, "192.0.2.1", "a", 0);
	assert_int_equal(truncate(folder_path("logins"), 0), 0);
	assert_int_equal(throttle_locked_ms(other, "::1", "a", 0), 0);
	throttle_secret(other, after);
	assert_memory_equal(before, after, sizeof(before));
	for (int i = 0; i < 3; i++)
		throttle_fail(i == 1 ? one : other, "192.0.2.1", "a", 0);
	assert_int_equal(throttle_locked_ms(one, "::1", "a", 0), LOCK_MS);
	throttle_free(&one);
	throttle_free(&other);
}

enum { CHILDREN = 4, EACH = 200 };

static void
test_no_count_is_lost_between_processes(void **state)
{
	static const struct throttle_limits many = { .per_name = CHILDREN *
		    EACH,
		.lock_ms = LOCK_MS };
	struct throttle *throttle;
	int status;

	(void)state;
	for (int i = 0; i < CHILDREN; i++) {
		pid_t pid = fork();

		assert_int_not_equal(pid, -1);
		if (pid != 0)
			continue;
		throttle = open_shared(&many);
		for (int n = 0; n < EACH; n++)
			throttle_fail(throttle, "192.0.2.1", "a", 0);
		_exit(0);
	}
	for (int i = 0; i < CHILDREN; i++) {
		assert_int_not_equal(wait(&status), -1);
		assert_int_equal(status, 0);
	}
	throttle = open_shared(&many);
	assert_int_equal(throttle_locked_ms(throttle, "::1", "a", 0), LOCK_MS);
	throttle_free(&throttle);
}

static void
test_killed_process_leaves_no_lock(void **state)
{
	struct throttle *throttle = open_shared(&limits);

	(void)state;
	for (int i = 0; i < 20; i++) {
		pid_t pid = fork();

		assert_int_not_equal(pid, -1);
		if (pid == 0) {
			struct throttle *own = open_shared(&limits);

			for (;;)
				throttle_pass(own, "192.0.2.1", "b", 0);
		}
		clock_sleep_ms(5);
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		throttle_fail(throttle, "192.0.2.1", "b", 0);
	}
	assert_true(throttle_locked_ms(throttle, "192.0.2.1", "x", 0) > 0);
	throttle_free(&throttle);
}

static void
test_stopped_process_holds_nobody_up(void **state)
{
	struct throttle *throttle = open_shared(&limits);
	struct flock all = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = open(folder_path("logins"), O_RDWR | O_CLOEXEC);
	int64_t start_ms = clock_ms();

	(void)state;
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &all), 0);
	for (int i = 0; i < 3; i++)
		throttle_fail(throttle, "192.0.2.1", "a", 0);
	assert_true(throttle_locked_ms(throttle, "::1", "a", 0) > 0);
	assert_true(clock_ms() - start_ms < 60 * 1000);
	close(fd);
	throttle_free(&throttle);
}

static void
test_clock_that_was_set_back_locks_nobody_for_longer(void **state)
{
	struct throttle *throttle = throttle_new(100, &limits);
	int64_t late_ms = (int64_t)1000 * LOCK_MS;

	(void)state;
	for (int i = 0; i < 3; i++)
		throttle_fail(throttle, "192.0.2.1", "a", late_ms);
	throttle_interval_ms(throttle, "pop3", "a", 5000, late_ms);
	assert_true(throttle_locked_ms(throttle, "::1", "a", late_ms) > 0);
	assert_int_equal(throttle_locked_ms(throttle, "::1", "a", 0), 0);
	assert_int_equal(
	    throttle_interval_ms(throttle, "pop3", "a", 5000, 0), 0);
	throttle_fail(throttle, "192.0.2.1", "a", 0);
	assert_int_equal(throttle_locked_ms(throttle, "::1", "a", 0), 0);
	throttle_free(&throttle);
}

static void
test_trusted_address_counts_for_names_alone(void **state)
{
	struct throttle *throttle = throttle_new(100, &limits);
	char name[2] = "a";

	(void)state;
	for (int i = 0; i < 9; i++, name[0]++)
		assert_int_equal(throttle_fail(throttle, NULL, name, 0), 100);
	assert_int_equal(throttle_locked_ms(throttle, NULL, "z", 0), 0);
	throttle_pass(throttle, NULL, "victim", 0);
	for (int i = 0; i < 3; i++)
		throttle_fail(throttle, NULL, "victim", 0);
	assert_true(throttle_locked_ms(throttle, NULL, "victim", 0) > 0);
	throttle_free(&throttle);
}

static void
test_without_the_file(void **state)
{
	struct throttle *throttle = throttle_new(100, &limits);
	struct error err;

	(void)state;
	throttle_fail(throttle, "192.0.2.1", "a", 0);
	assert_int_equal(throttle_share(throttle, "/no/such", &err), -1);
	assert_string_equal(
	    err.text, "cannot open '/no/such': No such file or directory");
	assert_int_equal(throttle_fail(throttle, "192.0.2.1", "a", 0), 200);
	/* A full disk: nothing is remembered, and nothing breaks. */
	assert_int_equal(throttle_share(throttle, "/dev/full", &err), 0);
	assert_int_equal(throttle_fail(throttle, "192.0.2.1", "a", 0), 100);
	throttle_pass(throttle, "192.0.2.1", "a", 0);
	throttle_free(&throttle);
}

static void
test_damaged_file(void **state)
{
	struct throttle *throttle = open_shared(&limits);
	FILE *file = fopen(folder_path("logins"), "r+");

	(void)state;
	assert_non_null(file);
	assert_int_equal(fseek(file, 256, SEEK_SET), 0);
	for (int i = 0; i < 100 * 32; i++)
		assert_int_equal(fputc(i % 32 < 8 ? i : 0xff, file) == EOF, 0);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(throttle_fail(throttle, "192.0.2.1", "a", 0), 100);
	assert_int_equal(throttle_fail(throttle, "192.0.2.1", "a", 0), 200);
	throttle_free(&throttle);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_failure_takes_longer),
		cmocka_unit_test(test_name_is_locked_out_for_a_time),
		cmocka_unit_test(test_address_is_locked_out_whatever_the_name),
		cmocka_unit_test(
		    test_who_logged_in_there_is_not_locked_out_by_others),
		cmocka_unit_test(test_success_forgets_failures_of_the_name),
		cmocka_unit_test(test_flood_of_names_does_not_open_a_lock),
		cmocka_unit_test(test_interval_between_logins),
		cmocka_unit_test(
		    test_clock_that_was_set_back_locks_nobody_for_longer),
		cmocka_unit_test(test_trusted_address_counts_for_names_alone),
		cmocka_unit_test(test_without_the_file),
		cmocka_unit_test_setup_teardown(
		    test_damaged_file, make_shared, folder_teardown),
		cmocka_unit_test_setup_teardown(
		    test_processes_count_together, make_shared, folder_teardown),
		cmocka_unit_test_setup_teardown(
		    test_emptying_the_file_forgets, make_shared, folder_teardown),
		cmocka_unit_test_setup_teardown(
		    test_no_count_is_lost_between_processes, make_shared, folder_teardown),
		cmocka_unit_test_setup_teardown(
		    test_killed_process_leaves_no_lock, make_shared, folder_teardown),
		cmocka_unit_test_setup_teardown(
		    test_stopped_process_holds_nobody_up, make_shared, folder_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
