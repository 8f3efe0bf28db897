/* SPDX-License-Identifier: ISC */
/* Tests of control/json_text.c. */
#include "control/json_text.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void
any_bytes_are_a_text(void **state)
{
	static const struct {
		const char *name, *text, *wanted;
	} rows[] = {
		{ "nothing", "", "" },
		{ "ASCII", "a \"b\"\\\n", "a \"b\"\\\n" },
		{ "UTF-8", "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f" },
		{ "Latin-1",
		    "gr\xfc"
		    "e",
		    "gr\xef\xbf\xbd"
		    "e" },
		{ "half a character", "\xc3", "\xef\xbf\xbd" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		json_t *got = json_text(rows[i].text);

		print_message("%s\n", rows[i].name);
		assert_non_null(got);
		assert_string_equal(json_string_value(got), rows[i].wanted);
		json_decref(got);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_bytes_are_a_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
