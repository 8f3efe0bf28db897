/* SPDX-License-Identifier: ISC */
/* Tests of queue/exitcode.c: the reference's table. */
#include "queue/exitcode.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

static void
texts(void **state)
{
	static const struct {
		int code;
		const char *wanted;
	} rows[] = {
		{ 11, "qq envelope address too long (#5.1.3)" },
		{ 115, "qq envelope address too long (#5.1.3)" },
		{ 31, "qq mail server permanently rejected message (#5.3.0)" },
		{ 32, "qq spam or junk mail threshold exceeded (#5.7.1)" },
		{ 39, "qq permanent problem (#5.3.0)" },
		{ 53, "qq write error or disk full (#4.3.0)" },
		{ 72, "qq connection to mail server timed out (#4.4.1)" },
		{ 74, "qq communication with mail server failed (#4.4.2)" },
		{ 87, "qq mail system incorrectly configured. (#4.3.5)" },
		{ 88, "qq temporary problem (#4.3.0)" },
		{ 123, "qq crashed (#4.3.0)" },
		{ 1, "qq temporary problem (#4.3.0)" },
		{ 255, "qq temporary problem (#4.3.0)" },
		{ -1, "qq temporary problem (#4.3.0)" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_string_equal(qq_text(rows[i].code), rows[i].wanted);
}

/* The class of every code and of its text agree. */
static void
classes(void **state)
{
	(void)state;
	for (int code = 1; code < 256; code++) {
		bool is_permanent = code == 115 || (code >= 11 && code <= 40);
		const char *status = strstr(qq_text(code), "(#");

		assert_int_equal(qq_is_permanent(code), is_permanent);
		assert_non_null(status);
		assert_int_equal(status[2], is_permanent ? '5' : '4');
		assert_int_equal(strncmp(qq_text(code), "qq ", 3), 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts),
		cmocka_unit_test(classes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
