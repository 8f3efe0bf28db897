/* SPDX-License-Identifier: ISC */
/* Tests of base/log_text.c. */
#include "base/log_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

static void
words(void **state)
{
	static const struct {
		const char *text;
		size_t size;
		const char *wanted;
	} rows[] = {
		{ "", 99, "" },
		{ "a+b@example.org", 99, "a+b@example.org" },
		{ "a b@c", 99, "a_b@c" },
		{ "a> qp 7 uid 0 <b", 99, "a__qp_7_uid_0__b" },
		{ "a\r\nmsg 1: done\tx\033[2J", 99, "a__msg_1:_done_x_[2J" },
		{ "a\177b", 99, "a_b" },
		{ "a\200\205\237\240\377b", 99, "a_____b" }, /* bytes */
		{ "a\302\200b\302\205c\302\233d\302\237e", 99,
		    "a_b_c_d_e" }, /* C1 in UTF-8 */
		{ "j\303\274rgen@b\303\274cher.example", 99,
		    "j\303\274rgen@b\303\274cher.example" },
		{ "\342\202\254\360\237\230\200", 99,
		    "\342\202\254\360\237\230\200" },
		{ "a\302\240b\342\200\250c\342\200\251d\343\200\200e", 99,
		    "a_b_c_d_e" }, /* no-break, line and ideographic blanks */
		{ "a\342\200\256b", 99, "a_b" }, /* right-to-left override */
		{ "a\330\234b\302\255c\341\240\216d\357\277\271e", 99,
		    "a_b_c_d_e" }, /* Arabic mark, soft hyphen, no width, note
				    */
		{ "a\363\240\200\240b\330\235", 99,
		    "a_b\330\235" },   /* a tag; beside the Arabic mark */
		{ "a\303", 99, "a_" }, /* cut short */
		{ "a\303<", 99, "a__" },
		{ "a\342\202", 99, "a__" },
		{ "\300\257", 99, "__" },                /* overlong */
		{ "\355\240\200", 99, "___" },           /* a surrogate */
		{ "\364\220\200\200\365", 99, "_____" }, /* too large */
		{ "%s%n", 99, "%s%n" },
		{ "abcdef", 4, "abc" },
		{ "abc", 4, "abc" },
		{ "ab\303\274", 4, "ab" }, /* not within a character */
		{ "ab\302\200", 4, "ab_" },
		{ "abc", 1, "" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char out[100];
		size_t length;

		memset(out, 'x', sizeof(out));
		length = log_word(out, rows[i].size, rows[i].text);
		if (strcmp(out, rows[i].wanted) != 0 || length != strlen(out))
			fail_msg("row %zu: '%s' (%zu), wanted '%s'", i, out,
			    length, rows[i].wanted);
	}
}

/* Of a whole line: it keeps its form, and does nothing to a terminal. */
static void
lines(void **state)
{
	static const struct {
		const char *text, *wanted;
	} rows[] = {
		{ "", "" },
		{ "info msg 1: from <a@x> qp 1",
		    "info msg 1: from <a@x> qp 1" },
		{ "a\r\nmsg 1\tx\033[2J\177", "a??msg 1?x?[2J?" },
		{ "a\233b\302\233c\302\205", "a?b?c?" },
		{ "a\342\200\256b\342\200\250c", "a?b?c" },
		{ "j\303\274rgen \342\202\254", "j\303\274rgen \342\202\254" },
		{ "cut \342\202", "cut ??" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char text[100];
		size_t length = strlen(rows[i].text);

		memcpy(text, rows[i].text, length);
		length = log_clean(text, length);
		text[length] = '\0';
		if (strcmp(text, rows[i].wanted) != 0)
			fail_msg("row %zu: '%s', wanted '%s'", i, text,
			    rows[i].wanted);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words),
		cmocka_unit_test(lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
