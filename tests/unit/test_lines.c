/* SPDX-License-Identifier: ISC */
/* Tests of base/lines.c. */
#include "base/lines.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

static void
splits(void **state)
{
	static const struct {
		const char *text;
		size_t length;
		const char *wanted; /* each line, its number and a '|' */
	} rows[] = {
		{ "", 0, "" },
		{ "\n", 1, "1:|" },
		{ "a", 1, "1:a|" },
		{ "a\nb\n", 4, "1:a|2:b|" },
		{ " a b \t\r\n\n \nc", 12, "1: a b|2:|3:|4:c|" },
		{ "a\nb\0c\nd", 7, "1:a|2 bad|3:d|" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf text, got;
		struct lines lines;
		struct error err;
		char *line;
		int found;

		buf_init(&text);
		buf_init(&got);
		buf_add(&text, rows[i].text, rows[i].length);
		lines_open(&lines, &text);
		while ((found = lines_next(&lines, &line, &err)) != 0)
			if (found == 1)
				buf_addf(&got, "%u:%s|", lines.number, line);
			else
				buf_addf(&got, "%u bad|", lines.number);
		if (strcmp(got.data, rows[i].wanted) != 0)
			fail_msg("row %zu: '%s'", i, got.data);
		buf_release(&text);
		buf_release(&got);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(splits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
