/* SPDX-License-Identifier: ISC */
/* Tests of base/test_time.c. */
#include "base/test_time.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

static void
one_that_is_named_is_another(void **state)
{
	(void)state;
	assert_int_equal(test_time_ms("STAY_MS", 3000), 300);
	assert_int_equal(test_time_ms("LATER_MS", 5000), 0);
	assert_int_equal(test_time_ms("STAY", 7), 7);
	assert_int_equal(test_time_ms("MS", 8), 8);
	assert_int_equal(test_time_ms("OTHER_MS", 9), 9);
}

static void
it_is_read_once(void **state)
{
	(void)state;
	assert_int_equal(unsetenv("MQMAIL_TEST_TIMES"), 0);
	assert_int_equal(test_time_ms("STAY_MS", 3000), 300);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_that_is_named_is_another),
		cmocka_unit_test(it_is_read_once),
	};

	setenv("MQMAIL_TEST_TIMES", " STAY_MS=300  LATER_MS=0 ", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
