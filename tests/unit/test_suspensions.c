/* SPDX-License-Identifier: ISC */
/* control/suspensions.c */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "control/suspensions.h"

static void
reading(void **state)
{
	static const struct {
		const char *line, *domain, *reason;
		int64_t until_s;
	} cases[] = {
		{ "example.org -", "example.org", "", 0 },
		{ "Example.ORG 1796035200", "example.org", "", 1796035200 },
		{ "example.org\t12  they move - soon", "example.org",
		    "they move - soon", 12 },
		{ "b\xc3\xbc"
		  "cher.example - x",
		    "xn--bcher-kva.example", "x", 0 },
		{ "", NULL, NULL, 0 },
		{ "example.org", NULL, NULL, 0 },
		{ "example.org 0", NULL, NULL, 0 },
		{ "example.org soon", NULL, NULL, 0 },
		{ "example.org -1 x", NULL, NULL, 0 },
		{ "example.org 99999999999999999999 x", NULL, NULL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct suspension got;
		struct error err = { .text = "" };
		int result = suspension_read(cases[i].line, &got, &err);

		if (result != (cases[i].domain == NULL ? -1 : 0))
			fail_msg(
			    "'%s': %d %s", cases[i].line, result, err.text);
		if (result == -1)
			continue;
		assert_string_equal(got.domain, cases[i].domain);
		assert_string_equal(got.reason, cases[i].reason);
		assert_int_equal(got.until_s, cases[i].until_s);
	}
}

static void
finding(void **state)
{
	char *items[] = { (char[]){ "a.test 100 first" }, (char[]){ "bad" },
		(char[]){ "b.test - for ever" }, NULL };
	const struct strlist lines = { items, 3 };
	struct suspensions all;

	(void)state;
	suspensions_init(&all, &lines);
	assert_int_equal(all.count, 2);
	assert_string_equal(
	    suspensions_find(&all, "a.test", 99)->reason, "first");
	assert_null(suspensions_find(&all, "a.test", 100));
	assert_non_null(suspensions_find(&all, "b.test", INT64_MAX));
	assert_null(suspensions_find(&all, "c.test", 1));
	suspensions_release(&all);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reading),
		cmocka_unit_test(finding),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
