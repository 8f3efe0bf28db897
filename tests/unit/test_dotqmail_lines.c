/* SPDX-License-Identifier: ISC */
#include "delivery/dotqmail_lines.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

static void
lines(void **state)
{
	static const struct {
		const char *text;
		const char *wanted; /* kind and text of each, ';' between; or
				     * NULL: a reason that has the next */
		const char *reason;
	} rows[] = {
		{ "", "", NULL },
		{ "# all\n\n \n", "", NULL },
		{ "&a@b\na@c\n", "F a@b;F a@c;", NULL },
		{ "&a\n", "F a;", NULL },
		{ "& a@b \r\n", "F a@b;", NULL },
		{ "| prog 'x y' \n|two", "P prog 'x y';P two;", NULL },
		{ "./Maildir/\n/a/b/\n", "D ./Maildir/;D /a/b/;", NULL },
		{ "./Mailbox\n/a/b\n.x\n", "M ./Mailbox;M /a/b;M .x;", NULL },
		{ "+list\n+x\n&a@b\n", "F a@b;", NULL },
		{ "\n&a@b\n", NULL, "first line is blank" },
		{ "# x\nvdelivermail '' delete\n", NULL, "line 2" },
		{ "&\n", NULL, "line 1" },
		{ "|\n", NULL, "names no program" },
		{ "@b\n", NULL, "line 1" },
		{ "a@\n", NULL, "line 1" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct dotqmail_lines found;
		struct error err = { .text = "" };
		struct buf text = BUF_INIT;
		int result = dotqmail_lines_read(
		    rows[i].text, strlen(rows[i].text), &found, &err);

		buf_adds(&text, "");
		for (size_t j = 0; j < found.count; j++)
			buf_addf(&text, "%c %s;", "PDMF"[found.items[j].kind],
			    found.items[j].text);
		if (rows[i].wanted != NULL) {
			assert_int_equal(result, 0);
			assert_string_equal(text.data, rows[i].wanted);
		} else {
			assert_int_equal(result, -1);
			assert_non_null(strstr(err.text, rows[i].reason));
		}
		buf_release(&text);
		dotqmail_lines_release(&found);
	}
}

static void
marks_and_bytes(void **state)
{
	struct dotqmail_lines found;
	struct error err;

	(void)state;
	assert_int_equal(dotqmail_lines_read("+list\n", 6, &found, &err), 0);
	assert_true(found.is_list);
	dotqmail_lines_release(&found);
	assert_int_equal(dotqmail_lines_read("&a\0b\n", 5, &found, &err), -1);
	dotqmail_lines_release(&found);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines),
		cmocka_unit_test(marks_and_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
