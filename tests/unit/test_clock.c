/* SPDX-License-Identifier: ISC */
/* Tests of base/clock.c. */
#include "base/clock.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

static void
dates(void **state)
{
	static const struct {
		time_t when;
		const char *wanted;
	} rows[] = {
		{ 0, "Thu, 01 Jan 1970 00:00:00 +0000" },
		{ 951782400, "Tue, 29 Feb 2000 00:00:00 +0000" },
		{ 1795236060, "Sat, 21 Nov 2026 04:41:00 +0000" },
		{ 2147483648, "Tue, 19 Jan 2038 03:14:08 +0000" },
		{ 4102444799, "Thu, 31 Dec 2099 23:59:59 +0000" },
	};

	(void)state;
	/* Neither a zone nor a language may show. */
	setenv("TZ", "Asia/Kolkata", 1);
	tzset();
	setlocale(LC_ALL, "de_DE.UTF-8");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char got[CLOCK_DATE_SIZE];

		clock_date(rows[i].when, got);
		if (strcmp(got, rows[i].wanted) != 0)
			fail_msg("%lld: got '%s', wanted '%s'",
			    (long long)rows[i].when, got, rows[i].wanted);
	}
}

static void
units_agree_and_never_go_back(void **state)
{
	int64_t last_us = clock_us();

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		int64_t before_us = clock_us();
		int64_t now_ms = clock_ms();
		int64_t after_us = clock_us();

		assert_true(last_us <= before_us);
		assert_true(before_us / 1000 <= now_ms);
		assert_true(now_ms <= after_us / 1000);
		last_us = after_us;
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dates),
		cmocka_unit_test(units_agree_and_never_go_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
