/* SPDX-License-Identifier: ISC */
/* Tests of control/domain_lines.c. */
#include "control/domain_lines.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

static void
first_line_that_fits(void **state)
{
	static const struct {
		const char *domain, *value;
	} rows[] = {
		{ "a.test", "1" },
		{ "A.Test", "1" },
		{ "a.test x@b.test", "1" },
		{ "b.a.test", "2" },
		{ "b.a.test x@b.test", "2" },
		{ "b\xc3\xbc.test", "5" },
		{ "xn--b-eha.test", "5" },
		{ "ba.test", "3:0.5" },
		{ "test", "3:0.5" },
		{ "", "3:0.5" },
	};
	struct strlist lines = { .items = NULL };

	(void)state;
	assert_null(domain_lines_find(&lines, "a.test"));
	strlist_add(&lines, "a.test:1");
	strlist_add(&lines, ".a.test:2");
	assert_null(domain_lines_find(&lines, "ba.test"));
	assert_null(domain_lines_find(&lines, "x a.test"));
	strlist_add(&lines, "B\xc3\xbc.test:5");
	strlist_add(&lines, "*:3:0.5");
	strlist_add(&lines, "ba.test:4");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_string_equal(
		    domain_lines_find(&lines, rows[i].domain), rows[i].value);
	strlist_release(&lines);
}

static void
limits(void **state)
{
	static const char *const wrong[] = { "", "0", "-1", "65001", "x", "1:",
		"1:0", "1:0.000", "1:.5", "1:1.", "1:0.0001", "1:100001",
		"1:1e3", "1:1:1", "1: 1", ":1", "1:0x10" };
	struct destination_limit limit;

	(void)state;
	assert_true(destination_limit_read("65000", &limit));
	assert_int_equal(limit.connections, 65000);
	assert_true(limit.per_second == 0);
	assert_true(destination_limit_read("2:0.5", &limit));
	assert_int_equal(limit.connections, 2);
	assert_true(limit.per_second == 0.5);
	assert_true(destination_limit_read("1:20", &limit));
	assert_true(limit.per_second == 20);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (destination_limit_read(wrong[i], &limit))
			fail_msg("taken: '%s'", wrong[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_line_that_fits),
		cmocka_unit_test(limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
