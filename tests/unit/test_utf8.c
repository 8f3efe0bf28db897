/* SPDX-License-Identifier: ISC */
/* Tests of base/utf8.c. */
#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

static void
characters(void **state)
{
	static const struct {
		const char *text;
		size_t wanted;
		uint32_t code;
	} rows[] = {
		{ "", 0, 0 },
		{ "a", 1, 'a' },
		{ "\177", 1, 0x7f },
		{ "\302\200", 2, 0x80 },
		{ "\337\277x", 2, 0x7ff },
		{ "\340\240\200", 3, 0x800 },
		{ "\357\277\277", 3, 0xffff },
		{ "\360\220\200\200", 4, 0x10000 },
		{ "\364\217\277\277", 4, 0x10ffff },
		{ "\364\220\200\200", 0, 0 },
		{ "\365\200\200\200", 0, 0 },
		{ "\377", 0, 0 },
		{ "\200", 0, 0 },
		{ "\301\277", 0, 0 },
		{ "\340\237\277", 0, 0 },
		{ "\360\217\277\277", 0, 0 },
		{ "\355\240\200", 0, 0 },
		{ "\355\237\277", 3, 0xd7ff },
		{ "\302", 0, 0 },
		{ "\342\202", 0, 0 },
		{ "\342\202a", 0, 0 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		uint32_t code = 0;
		size_t length = utf8_decode(
		    rows[i].text, strlen(rows[i].text), &code);

		if (length != rows[i].wanted ||
		    (length > 0 && code != rows[i].code))
			fail_msg("row %zu: %zu, U+%04x", i, length, code);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
