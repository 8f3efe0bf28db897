/* SPDX-License-Identifier: ISC */
/* Tests of svctool/run/supervise.c. */
#include "svctool/run/supervise.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

/* 2^62 + 10 + 1000 seconds, nanoseconds, pid 258, paused, want */
#define STATUS(pid_low, pid_high, want)    \
	"\x40\0\0\0\0\0\x03\xf2"           \
	"\0\0\0\0" pid_low pid_high "\0\0" \
	"\0" want

static void
parse(void **state)
{
	static const struct {
		const char *name;
		const char *status;
		size_t length;
		bool wanted;
		pid_t pid;
		bool is_wanted_up;
	} rows[] = {
		{ "up", STATUS("\x02", "\x01", "u"), 18, true, 258, true },
		{ "up once", STATUS("\x02", "\x01", "\0"), 18, true, 258,
		    true },
		{ "to go down", STATUS("\x02", "\x01", "d"), 18, true, 258,
		    false },
		{ "down", STATUS("\0", "\0", "d"), 18, true, 0, false },
		{ "down, wanted up", STATUS("\0", "\0", "u"), 18, true, 0,
		    true },
		{ "short", STATUS("\0", "\0", "u"), 17, false, 0, false },
		{ "long", STATUS("\0", "\0", "u"), 19, false, 0, false },
		{ "empty", "", 0, false, 0, false },
		{ "before 1970", "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 18,
		    false, 0, false },
		{ "no second of TAI64",
		    "\xc0\0\0\0\0\0\x03\xf2\0\0\0\0\0\0\0\0\0u", 18, false, 0,
		    false },
		{ "pid too large",
		    "\x40\0\0\0\0\0\x03\xf2\0\0\0\0\xff\xff\xff\xff\0u", 18,
		    false, 0, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct supervise_state got;
		bool result = supervise_parse(
		    (const unsigned char *)rows[i].status, rows[i].length,
		    &got);

		if (result != rows[i].wanted)
			fail_msg("%s: got %d", rows[i].name, result);
		if (result &&
		    (got.pid != rows[i].pid || got.since != 1000 ||
			got.is_wanted_up != rows[i].is_wanted_up))
			fail_msg("%s: got pid %ld, since %ld, up %d",
			    rows[i].name, (long)got.pid, (long)got.since,
			    got.is_wanted_up);
	}
}

/* A folder that supervise never saw. */
static void
never_supervised(void **state)
{
	char folder[] = "/tmp/test_supervise.XXXXXX";
	struct supervise_state got;
	struct error err;

	(void)state;
	assert_non_null(mkdtemp(folder));
	assert_int_equal(supervise_read(folder, &got, &err), 0);
	assert_false(got.is_supervised);
	assert_int_equal(supervise_send(folder, "d", &err), 0);
	assert_int_equal(remove(folder), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parse),
		cmocka_unit_test(never_supervised),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
