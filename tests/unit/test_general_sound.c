/* SPDX-License-Identifier: ISC */
/* Tests of delivery/general_sound.c. */
#include "delivery/general.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

static void
what_is_meant(void **state)
{
	static const struct {
		const char *text;
		bool is_sound;
		unsigned line;
		const char *reason;
	} rows[] = {
		{ "&a@b\n", true, 0, "" },
		{ "a@b\n|true\n", true, 0, "" },
		{ "|/bin/cat\n", true, 0, "" },
		{ "| if test x; then exit 99; fi\n", true, 0, "" },
		{ "|A=b no-such-program\n", true, 0, "" },
		{ "./Maildir/\n", true, 0, "" },
		{ "|cat\n| vdelivermail '' delete\n", true, 0, "" },
		{ "", false, 0, "it is empty" },
		{ "# x\n", false, 0, "only blank lines and comments" },
		{ "\n|true\n", false, 0, "first line is blank" },
		{ "vdelivermail '' delete\n", false, 0, "line 1" },
		{ "#\n|no-such-program x\n", false, 2, "no program" },
		{ "|/no/such/program\n", false, 1, "no program" },
		{ "|true\n|vdelivermail '' delet\n", false, 2,
		    "not an action" },
		{ "|/x/vfilter delete\n", false, 1, "has no ''" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct dotqmail_fault fault;
		struct buf text = BUF_INIT;

		buf_adds(&text, rows[i].text);
		assert_int_equal(
		    general_is_sound("/", "/nonexistent", &text, &fault),
		    rows[i].is_sound);
		if (!rows[i].is_sound) {
			assert_int_equal(fault.line, rows[i].line);
			assert_non_null(
			    strstr(fault.reason.text, rows[i].reason));
			assert_non_null(strstr(fault.reason.text, "; write "));
		}
		buf_release(&text);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_meant),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
