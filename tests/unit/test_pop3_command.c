/* SPDX-License-Identifier: ISC */
/* pop3/command.c: lines of a client. */
#include "pop3/command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void
test_lines(void **state)
{
	static const struct {
		const char *line;
		bool is_command;
		const char *verb, *argument;
	} rows[] = {
		{ "STAT\r\n", true, "STAT", "" },
		{ "stat\n", true, "STAT", "" },
		{ "Retr 1\r\n", true, "RETR", "1" },
		{ "PASS  a b \r\n", true, "PASS", " a b " },
		{ "PASS \r\n", true, "PASS", "" },
		{ "UTF8\r\n", true, "UTF8", "" },
		{ "\r\n", false, NULL, NULL },
		{ " STAT\r\n", false, NULL, NULL },
		{ "ST\tAT\r\n", false, NULL, NULL },
		{ "\xff\r\n", false, NULL, NULL },
		{ "ABCDEFGHIJKLMNO\r\n", true, "ABCDEFGHIJKLMNO", "" },
		{ "ABCDEFGHIJKLMNOP\r\n", false, NULL, NULL },
	};
	static struct pop3_command command;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool is_command = pop3_command_parse(
		    rows[i].line, strlen(rows[i].line), &command);

		if (is_command != rows[i].is_command)
			fail_msg("'%s' is %d", rows[i].line, is_command);
		if (!is_command)
			continue;
		assert_string_equal(command.verb, rows[i].verb);
		assert_string_equal(command.argument, rows[i].argument);
	}
	assert_false(pop3_command_parse("STAT\0x\r\n", 8, &command));
}

static void
test_longest_line(void **state)
{
	static char line[POP3_LINE_MAX + 10];
	static struct pop3_command command;

	(void)state;
	memset(line, 'a', sizeof(line));
	memcpy(line, "PASS ", 5);
	assert_true(pop3_command_parse(line, POP3_LINE_MAX - 1, &command));
	assert_int_equal(strlen(command.argument), POP3_LINE_MAX - 1 - 5);
	assert_false(pop3_command_parse(line, POP3_LINE_MAX, &command));
}

static void
test_numbers(void **state)
{
	static const struct {
		const char *argument;
		bool is_one, is_two;
	} rows[] = {
		{ "1", true, false },
		{ " 12 ", true, false },
		{ "1 2", false, true },
		{ "1  2 ", false, true },
		{ "", false, false },
		{ "-1", false, false },
		{ "1x", false, false },
		{ "1 -2", false, false },
		{ "1 2 3", false, false },
		{ "99999999999999999999", false, false },
		{ "4294967296", false, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t a, b;

		if (pop3_argument_number(rows[i].argument, &a) !=
			rows[i].is_one ||
		    pop3_argument_numbers(rows[i].argument, &a, &b) !=
			rows[i].is_two)
			fail_msg("'%s'", rows[i].argument);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_longest_line),
		cmocka_unit_test(test_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
