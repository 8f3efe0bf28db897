/* SPDX-License-Identifier: ISC */
/* Tests of queue/recent.h. */
#include "queue/recent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct uuid
numbered(uint32_t number)
{
	struct uuid uuid = { { 1 } };

	/* The same chain for many of them. */
	number = (number & 15) | (number & ~15u) << 12;
	memcpy(uuid.bytes + 12, &number, sizeof(number));
	memcpy(uuid.bytes + 4, &number, sizeof(number));
	return uuid;
}

static void
test_known_until_removed(void **state)
{
	struct recent *recent = recent_new();
	struct uuid a = numbered(1), b = numbered(17), c = numbered(33);

	(void)state;
	recent_add(recent, &a, 101);
	recent_add(recent, &b, 102);
	recent_add(recent, &c, 103);
	assert_int_equal(recent_find(recent, &a), 101);
	assert_int_equal(recent_find(recent, &b), 102);
	recent_remove(recent, &b);
	assert_int_equal(recent_find(recent, &b), 0);
	assert_int_equal(recent_find(recent, &a), 101);
	assert_int_equal(recent_find(recent, &c), 103);
	recent_free(&recent);
	assert_null(recent);
}

static void
test_none_is_never_known(void **state)
{
	struct recent *recent = recent_new();
	struct uuid none = { { 0 } };

	(void)state;
	recent_add(recent, &none, 7);
	assert_int_equal(recent_find(recent, &none), 0);
	recent_free(&recent);
}

static void
test_the_oldest_is_forgotten(void **state)
{
	struct recent *recent = recent_new();
	struct uuid uuid;
	uint32_t i;

	(void)state;
	for (i = 0; i < RECENT_MAX + 100; i++) {
		uuid = numbered(i);
		recent_add(recent, &uuid, i + 1);
	}
	for (i = 0; i < 100; i++) {
		uuid = numbered(i);
		assert_int_equal(recent_find(recent, &uuid), 0);
	}
	for (; i < RECENT_MAX + 100; i += 97) {
		uuid = numbered(i);
		assert_int_equal(recent_find(recent, &uuid), i + 1);
	}
	recent_free(&recent);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_until_removed),
		cmocka_unit_test(test_none_is_never_known),
		cmocka_unit_test(test_the_oldest_is_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
