/* SPDX-License-Identifier: ISC */
/* auth/throttle.c: failed logins are counted, slowed down and locked out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "auth/throttle.h"

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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
