/* SPDX-License-Identifier: ISC */
#include "smtp/params.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static void
lines(void **state)
{
	static const struct {
		const char *line;
		const char *verb; /* NULL: not a command */
		const char *argument;
	} rows[] = {
		{ "QUIT\r\n", "QUIT", "" },
		{ "QUIT\n", "QUIT", "" },
		{ "quit  \t\r\n", "quit", "" },
		{ "EHLO  a.example \r\n", "EHLO", "a.example" },
		{ "MAIL FROM:<a@b> SIZE=1\r\n", "MAIL", "FROM:<a@b> SIZE=1" },
		{ "NOOP\tx\r\n", "NOOP", "x" },
		{ "X", "X", "" },
		{ "", NULL, NULL },
		{ "\r\n", NULL, NULL },
		{ " QUIT\r\n", NULL, NULL },
		{ "QUIT!\r\n", NULL, NULL },
		{ "123\r\n", NULL, NULL },
		{ "QUIT\r\r\n", NULL, NULL },
		{ "QUIT \rRSET\r\n", NULL, NULL },
		{ "QUIT \x7f\r\n", NULL, NULL },
		{ "QUIT \x01\r\n", NULL, NULL },
		{ "\x16\x03\x01\x02\n", NULL, NULL },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct smtp_line line;
		bool is_command = smtp_line_parse(
		    rows[i].line, strlen(rows[i].line), &line);

		if (is_command != (rows[i].verb != NULL))
			fail_msg("'%s': command %d", rows[i].line, is_command);
		if (!is_command)
			continue;
		if (line.verb_length != strlen(rows[i].verb) ||
		    memcmp(line.verb, rows[i].verb, line.verb_length) != 0 ||
		    line.argument_length != strlen(rows[i].argument) ||
		    memcmp(line.argument, rows[i].argument,
			line.argument_length) != 0)
			fail_msg("'%s': verb '%.*s', argument '%.*s'",
			    rows[i].line, (int)line.verb_length, line.verb,
			    (int)line.argument_length, line.argument);
	}
}

static void
a_line_with_nul_is_no_command(void **state)
{
	struct smtp_line line;

	(void)state;
	assert_false(smtp_line_parse("QUIT \0x\r\n", 9, &line));
	assert_false(smtp_line_parse("QU\0T\r\n", 6, &line));
}

static void
parameters_of_mail(void **state)
{
	static const struct {
		const char *text;
		enum smtp_params_result wanted;
		bool has_size;
		uint64_t size_bytes;
		bool is_utf8;
	} rows[] = {
		{ "", SMTP_PARAMS_OK, false, 0, false },
		{ " \t ", SMTP_PARAMS_OK, false, 0, false },
		{ " SIZE=0", SMTP_PARAMS_OK, true, 0, false },
		{ " size=12345", SMTP_PARAMS_OK, true, 12345, false },
		{ " SIZE=18446744073709551615", SMTP_PARAMS_OK, true,
		    UINT64_MAX, false },
		{ " SIZE=99999999999999999999", SMTP_PARAMS_OK, true,
		    UINT64_MAX, false },
		{ " BODY=7BIT", SMTP_PARAMS_OK, false, 0, false },
		{ " body=8bitMIME", SMTP_PARAMS_OK, false, 0, false },
		{ " SMTPUTF8  SIZE=1 BODY=8BITMIME", SMTP_PARAMS_OK, true, 1,
		    true },
		{ "SIZE=1", SMTP_PARAMS_SYNTAX, false, 0, false },
		{ " SIZE", SMTP_PARAMS_SYNTAX, false, 0, false },
		{ " SIZE=", SMTP_PARAMS_SYNTAX, false, 0, false },
		{ " SIZE=-1", SMTP_PARAMS_SYNTAX, false, 0, false },
		{ " SIZE=1k", SMTP_PARAMS_SYNTAX, false, 0, false },
		{ " SIZE=100000000000000000000", SMTP_PARAMS_SYNTAX, false, 0,
		    false },
		{ " SIZE=1 SIZE=2", SMTP_PARAMS_SYNTAX, true, 1, false },
		{ " BODY", SMTP_PARAMS_SYNTAX, false, 0, false },
		{ " BODY=7BIT BODY=7BIT", SMTP_PARAMS_SYNTAX, false, 0, false },
		{ " BODY=BINARYMIME", SMTP_PARAMS_UNKNOWN, false, 0, false },
		{ " SMTPUTF8=1", SMTP_PARAMS_SYNTAX, false, 0, false },
		{ " SMTPUTF8 SMTPUTF8", SMTP_PARAMS_SYNTAX, false, 0, true },
		{ " AUTH=<>", SMTP_PARAMS_OK, false, 0, false },
		{ " AUTH=e+3Dmc2@example.com", SMTP_PARAMS_OK, false, 0, false },
		{ " AUTH", SMTP_PARAMS_SYNTAX, false, 0, false },
		{ " AUTH=x+3", SMTP_PARAMS_SYNTAX, false, 0, false },
		{ " AUTH=x+3d", SMTP_PARAMS_SYNTAX, false, 0, false },
		{ " AUTH=a AUTH=a", SMTP_PARAMS_SYNTAX, false, 0, false },
		{ " BY=100;R", SMTP_PARAMS_UNKNOWN, false, 0, false },
		{ " RET=FULL ENVID=a REQUIRETLS", SMTP_PARAMS_OK, false, 0,
		    false },
		{ " RET=NONE", SMTP_PARAMS_SYNTAX, false, 0, false },
		{ " RET", SMTP_PARAMS_SYNTAX, false, 0, false },
		{ " ENVID", SMTP_PARAMS_SYNTAX, false, 0, false },
		{ " ENVID=+2g", SMTP_PARAMS_SYNTAX, false, 0, false },
		{ " REQUIRETLS=1", SMTP_PARAMS_SYNTAX, false, 0, false },
		{ " HOLDFOR=60", SMTP_PARAMS_OK, false, 0, false },
		{ " HOLDFOR=060", SMTP_PARAMS_SYNTAX, false, 0, false },
		{ " HOLDFOR=0", SMTP_PARAMS_SYNTAX, false, 0, false },
		{ " HOLDFOR=1000000000", SMTP_PARAMS_SYNTAX, false, 0, false },
		{ " HOLDFOR", SMTP_PARAMS_SYNTAX, false, 0, false },
		{ " HOLDFOR=6 HOLDUNTIL=2030-01-01T00:00:00Z",
		    SMTP_PARAMS_SYNTAX, false, 0, false },
		{ " HOLDUNTIL=", SMTP_PARAMS_SYNTAX, false, 0, false },
		{ " XUUID=0190163d-8694-739b-aea5-966c26f8ad91 XHOPS=2",
		    SMTP_PARAMS_OK, false, 0, false },
		{ " XUUID=0190163d-8694-739b-aea5-966c26f8ad9",
		    SMTP_PARAMS_SYNTAX, false, 0, false },
		{ " XUUID=00000000-0000-0000-0000-000000000000",
		    SMTP_PARAMS_SYNTAX, false, 0, false },
		{ " XHOPS=0", SMTP_PARAMS_SYNTAX, false, 0, false },
		{ " XHOPS=1 XHOPS=1", SMTP_PARAMS_SYNTAX, false, 0, false },
		{ " =x", SMTP_PARAMS_SYNTAX, false, 0, false },
		{ " -A=x", SMTP_PARAMS_SYNTAX, false, 0, false },
		{ " <a@b>", SMTP_PARAMS_SYNTAX, false, 0, false },
		{ " SIZE=1=2", SMTP_PARAMS_SYNTAX, true, 1, false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		size_t length = strlen(rows[i].text);
		char *copy = xmalloc(length + 1);
		struct smtp_mail_params params;
		enum smtp_params_result result;

		memcpy(copy, rows[i].text, length);
		copy[length] = '7'; /* must not be read */
		result = smtp_mail_params_parse(copy, length, &params);
		free(copy);
		if (result != rows[i].wanted ||
		    params.has_size != rows[i].has_size ||
		    params.size_bytes != rows[i].size_bytes ||
		    params.is_utf8 != rows[i].is_utf8)
			fail_msg("'%s': result %d, wanted %d, or other values",
			    rows[i].text, (int)result, (int)rows[i].wanted);
	}
}

static void
parameters_of_rcpt(void **state)
{
	static const struct {
		const char *text;
		enum smtp_params_result wanted;
	} rows[] = {
		{ "", SMTP_PARAMS_OK },
		{ "  ", SMTP_PARAMS_OK },
		{ " NOTIFY=NEVER", SMTP_PARAMS_OK },
		{ " notify=success,Delay ORCPT=rfc822;a+2Bb@c",
		    SMTP_PARAMS_OK },
		{ " NOTIFY", SMTP_PARAMS_SYNTAX },
		{ " NOTIFY=NEVER,DELAY", SMTP_PARAMS_SYNTAX },
		{ " NOTIFY=DELAY NOTIFY=DELAY", SMTP_PARAMS_SYNTAX },
		{ " ORCPT", SMTP_PARAMS_SYNTAX },
		{ " ORCPT=a@b", SMTP_PARAMS_SYNTAX },
		{ " ORCPT=rfc822;\xc3\xa4", SMTP_PARAMS_SYNTAX },
		{ " RET=FULL", SMTP_PARAMS_UNKNOWN },
		{ "x", SMTP_PARAMS_SYNTAX },
		{ " <", SMTP_PARAMS_SYNTAX },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct dsn_recipient dsn;
		enum smtp_params_result result = smtp_rcpt_params_parse(
		    rows[i].text, strlen(rows[i].text), &dsn);

		if (result != rows[i].wanted)
			fail_msg("'%s': %d, wanted %d", rows[i].text,
			    (int)result, (int)rows[i].wanted);
	}
}

/* RFC 3339 5.6, 5.8 */
static void
hold_until(void **state)
{
	static const struct {
		const char *text;
		time_t wanted; /* 0: it is none */
	} rows[] = {
		{ "2030-01-02T03:04:05Z", 1893553445 },
		{ "2030-01-02t03:04:05z", 1893553445 },
		{ "2030-01-02T03:04:05.999Z", 1893553445 },
		{ "2030-01-02T04:04:05+01:00", 1893553445 },
		{ "2030-01-01T22:34:05-04:30", 1893553445 },
		{ "2028-02-29T00:00:00Z", 1835395200 },
		{ "2030-12-31T23:59:60Z", 1924992000 },
		{ "2029-02-29T00:00:00Z", 0 },
		{ "2030-04-31T00:00:00Z", 0 },
		{ "2030-00-01T00:00:00Z", 0 },
		{ "2030-01-00T00:00:00Z", 0 },
		{ "2030-13-01T00:00:00Z", 0 },
		{ "2030-01-01T24:00:00Z", 0 },
		{ "2030-01-01T00:60:00Z", 0 },
		{ "2030-01-01T00:00:61Z", 0 },
		{ "2030-01-01T00:00:00", 0 },
		{ "2030-01-01T00:00:00.Z", 0 },
		{ "2030-01-01T00:00:00+0100", 0 },
		{ "2030-01-01T00:00:00+24:00", 0 },
		{ "2030-01-01T00:00:00+01:00x", 0 },
		{ "2030-01-01T00:00Z", 0 },
		{ "20300101T000000Z", 0 },
		{ "1969-12-31T23:59:59Z", 0 },
		{ "+030-01-01T00:00:00Z", 0 },
		{ "2030-01-01T00:00:0", 0 },
		{ "2030-01-01T00:00:00+", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *text = xasprintf(" HOLDUNTIL=%s", rows[i].text);
		size_t length = strlen(text);
		struct smtp_mail_params params;
		enum smtp_params_result result;

		text[length] = '7'; /* must not be read */
		result = smtp_mail_params_parse(text, length, &params);
		free(text);
		if ((result == SMTP_PARAMS_OK) != (rows[i].wanted != 0) ||
		    (rows[i].wanted != 0 &&
			params.dsn.hold_until != rows[i].wanted))
			fail_msg("'%s': result %d, %lld", rows[i].text,
			    (int)result, (long long)params.dsn.hold_until);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hold_until),
		cmocka_unit_test(lines),
		cmocka_unit_test(a_line_with_nul_is_no_command),
		cmocka_unit_test(parameters_of_mail),
		cmocka_unit_test(parameters_of_rcpt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
