/* SPDX-License-Identifier: ISC */
/* Tests of base/scan.c. */
#include "base/scan.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void
numbers(void **state)
{
	static const struct {
		const char *text;
		uint64_t max;
		bool wanted;
		uint64_t value;
	} rows[] = {
		{ "0", 0, true, 0 },
		{ "7", 10, true, 7 },
		{ "10", 10, true, 10 },
		{ "11", 10, false, 0 },
		{ "0000000000000000000000000000001", 10, true, 1 },
		{ "18446744073709551615", UINT64_MAX, true, UINT64_MAX },
		{ "18446744073709551616", UINT64_MAX, false, 0 },
		{ "18446744073709551620", UINT64_MAX, false, 0 },
		{ "99999999999999999999", UINT64_MAX, false, 0 },
		{ "", 10, false, 0 },
		{ "-1", 10, false, 0 },
		{ "+1", 10, false, 0 },
		{ " 1", 10, false, 0 },
		{ "1 ", 10, false, 0 },
		{ "1\n", 10, false, 0 },
		{ "0x1", 10, false, 0 },
		{ "1/", 100, false, 0 },
		{ "1:", 100, false, 0 },
		{ "1\xff", 100, false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t value = 12345;
		bool got = scan_u64(rows[i].text, rows[i].max, &value);

		if (got != rows[i].wanted ||
		    value != (got ? rows[i].value : 12345))
			fail_msg("'%s': got %d %llu, wanted %d %llu",
			    rows[i].text, got, (unsigned long long)value,
			    rows[i].wanted, (unsigned long long)rows[i].value);
	}
}

static void
part_of_a_text(void **state)
{
	uint64_t value = 0;

	(void)state;
	assert_true(scan_u64n("123abc", 3, 1000, &value));
	assert_int_equal(value, 123);
	assert_false(scan_u64n("123abc", 4, 1000, &value));
	assert_false(scan_u64n("1\0"
			       "2",
	    3, 1000, &value));
	assert_false(scan_u64n("1", 0, 1000, &value));
	assert_int_equal(value, 123);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers),
		cmocka_unit_test(part_of_a_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
