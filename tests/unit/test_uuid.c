/* SPDX-License-Identifier: ISC */
/* Tests of base/uuid.c. */
#include "base/uuid.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include <time.h>

static unsigned
version_of(const struct uuid *uuid)
{
	assert_int_equal(uuid->bytes[8] >> 6, 2); /* RFC 9562 4.1 */
	return uuid->bytes[6] >> 4;
}

static void
new_ones(void **state)
{
	enum { COUNT = 1000 };
	static struct uuid made[COUNT];
	int64_t before_ms = (int64_t)time(NULL) * 1000;

	(void)state;
	for (int i = 0; i < COUNT; i++) {
		uuid_make(&made[i]);
		assert_int_equal(version_of(&made[i]), 7);
		assert_false(uuid_is_none(&made[i]));
		assert_true(uuid_time_ms(&made[i]) >= before_ms &&
		    uuid_time_ms(&made[i]) < before_ms + 60000);
		for (int j = 0; j < i; j++)
			assert_false(uuid_is_equal(&made[i], &made[j]));
	}
}

static void
of_one_time(void **state)
{
	struct uuid first, second, third;

	(void)state;
	assert_true(uuid_parse("0190163d-8694-739b-aea5-966c26f8ad91", &first));
	uuid_make_beside(&second, &first);
	uuid_make_beside(&third, &first);
	assert_int_equal(version_of(&second), 7);
	assert_int_equal(uuid_time_ms(&second), uuid_time_ms(&first));
	assert_int_equal(uuid_time_ms(&third), uuid_time_ms(&first));
	assert_false(uuid_is_equal(&first, &second));
	assert_false(uuid_is_equal(&second, &third));
}

/* The same question, the same answer; another one, another. */
static void
of_users(void **state)
{
	struct uuid first, same, other, asked_by_another;

	(void)state;
	uuid_make(&first);
	same = other = asked_by_another = first;
	uuid_bind(&same, 1000);
	uuid_bind(&asked_by_another, 1001);
	assert_int_equal(version_of(&same), 8);
	assert_int_equal(uuid_time_ms(&same), uuid_time_ms(&first));
	assert_false(uuid_is_equal(&same, &first));
	assert_false(uuid_is_equal(&same, &asked_by_another));
	uuid_bind(&other, 1000);
	assert_true(uuid_is_equal(&same, &other));
	other = first;
	other.bytes[15] ^= 1;
	uuid_bind(&other, 1000);
	assert_false(uuid_is_equal(&same, &other));
}

static void
derived(void **state)
{
	struct uuid first, same, other;

	(void)state;
	uuid_make(&first);
	same = other = first;
	uuid_derive(&same, "1\0a", 3);
	uuid_derive(&other, "1\0a", 3);
	assert_true(uuid_is_equal(&same, &other));
	assert_int_equal(version_of(&same), 8);
	assert_int_equal(uuid_time_ms(&same), uuid_time_ms(&first));
	assert_memory_equal(same.bytes, first.bytes, 6);
	assert_int_equal(same.bytes[7], first.bytes[7]);
	other = first;
	uuid_derive(&other, "1\0b", 3);
	assert_false(uuid_is_equal(&same, &other));
	other = first;
	other.bytes[15] ^= 1;
	uuid_derive(&other, "1\0a", 3);
	assert_false(uuid_is_equal(&same, &other));
}

static void
texts(void **state)
{
	static const char good[] = "0190163d-8694-739b-aea5-966c26f8ad91";
	static const char *const bad[] = { "", "0190163d",
		"0190163d-8694-739b-aea5-966c26f8ad9",
		"0190163d08694-739b-aea5-966c26f8ad91",
		"0190163d-8694-739b-aea5-966c26f8ad9g",
		" 190163d-8694-739b-aea5-966c26f8ad91" };
	char text[UUID_TEXT_SIZE];
	struct uuid uuid, upper;

	(void)state;
	assert_true(uuid_parse(good, &uuid));
	uuid_format(&uuid, text);
	assert_string_equal(text, good);
	assert_true(
	    uuid_parse("0190163D-8694-739B-AEA5-966C26F8AD91 and", &upper));
	assert_true(uuid_is_equal(&uuid, &upper));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (uuid_parse(bad[i], &uuid))
			fail_msg("'%s' is one", bad[i]);
	memset(&uuid, 0, sizeof(uuid));
	assert_true(uuid_is_none(&uuid));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(new_ones),
		cmocka_unit_test(of_one_time),
		cmocka_unit_test(of_users),
		cmocka_unit_test(derived),
		cmocka_unit_test(texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
