/* SPDX-License-Identifier: ISC */
/* Tests of svctool/show/log_time.c. */
#include "svctool/show/log_time.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

/* 2026-11-30 07:44:11 UTC, 08:44:11 where the tests are */
enum { NOW = 1796024651 };

static int
set_zone(void **state)
{
	(void)state;
	setenv("TZ", "XXX-1", 1);
	tzset();
	return 0;
}

static void
labels(void **state)
{
	static const struct {
		const char *text;
		bool is_wanted;
		int64_t seconds;
		long nanoseconds;
	} rows[] = {
		{ "@400000000000000a00000000", true, 0, 0 },
		{ "@4000000037c219bf2ef02e94", true, 935467445, 787492500 },
		{ "@40000000ffffffff3b9ac9ff x", true, 4294967285, 999999999 },
		{ "@4000000000000009ffffffff", false, 0, 0 }, /* nanoseconds */
		{ "@400000000000000a0000000", false, 0, 0 },
		{ "@400000000000000A00000000", false, 0, 0 },
		{ "x400000000000000a00000000", false, 0, 0 },
		{ "@c00000000000000a00000000", false, 0, 0 },
		{ "@400000000000000900000000", true, -1, 0 },
		{ "", false, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct timespec when = { .tv_sec = 0 };
		char again[TAI64N_SIZE];

		assert_int_equal(
		    tai64n_read(rows[i].text, strlen(rows[i].text), &when),
		    rows[i].is_wanted);
		if (!rows[i].is_wanted)
			continue;
		assert_int_equal(when.tv_sec, rows[i].seconds);
		assert_int_equal(when.tv_nsec, rows[i].nanoseconds);
		tai64n_write(&when, again);
		assert_int_equal(
		    strncmp(again, rows[i].text, TAI64N_LENGTH), 0);
	}
}

static void
shown(void **state)
{
	const struct timespec when = { .tv_sec = NOW, .tv_nsec = 1234567 };
	const struct timespec never = { .tv_sec = INT64_MAX / 2 };
	char text[LOG_TIME_SIZE];

	(void)state;
	log_time_write(&when, false, text);
	assert_string_equal(text, "2026-11-30 08:44:11.001234");
	log_time_write(&when, true, text);
	assert_string_equal(text, "2026-11-30T07:44:11.001234Z");
	log_time_write(&never, true, text);
	assert_string_equal(text, "@800000000000000900000000");
}

static void
said(void **state)
{
	static const struct {
		const char *text;
		bool is_utc;
		int64_t wanted; /* 0: refused */
	} rows[] = {
		{ "2026-11-30 08:44:11", false, NOW },
		{ "2026-11-30T08:44:11", false, NOW },
		{ "2026-11-30 08:44:11", true, NOW + 3600 },
		{ "2026-11-30T07:44:11Z", false, NOW },
		{ "2026-11-30 08:44", false, NOW - 11 },
		{ "2026-11-30", false, NOW - 11 - 44 * 60 - 8 * 3600 },
		{ "08:44", false, NOW - 11 },
		{ "08:44:12", false, NOW + 1 },
		{ "07:44", true, NOW - 11 },
		{ "90s", false, NOW - 90 },
		{ "10m", false, NOW - 600 },
		{ "2h", true, NOW - 7200 },
		{ "3d", false, NOW - 3 * 86400 },
		{ "@4000000037c219bf2ef02e94", false, 935467445 },
		{ "", false, 0 },
		{ "10", false, 0 },
		{ "10w", false, 0 },
		{ "10mm", false, 0 },
		{ "08:44Z", false, 0 },
		{ "99999999999999999999s", false, 0 },
		{ "2026-11-30 08:44:11 x", false, 0 },
		{ "yesterday", false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct timespec when = { .tv_sec = 0 };
		struct error err;

		assert_int_equal(log_time_parse(rows[i].text, rows[i].is_utc,
				     NOW, &when, &err),
		    rows[i].wanted == 0 ? -1 : 0);
		assert_int_equal(when.tv_sec, rows[i].wanted);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(labels),
		cmocka_unit_test(shown),
		cmocka_unit_test(said),
	};

	return cmocka_run_group_tests(tests, set_zone, NULL);
}
