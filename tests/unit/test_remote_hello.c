/* SPDX-License-Identifier: ISC */
/* Tests of remote/hello.c. */
#include "remote/hello.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct hello
read_hello(const char *const *lines)
{
	struct hello hello = { 0 };

	for (; *lines != NULL; lines++)
		hello_line(*lines, &hello);
	return hello;
}

static void
test_extensions(void **state)
{
	static const char *const lines[] = { "STARTTLS.example.net hello",
		"pipelining", "SIZE 1000", "8BITMIME", "SMTPUTF8", "CHUNKING",
		"DSN extra", "REQUIRETLS", "AUTH plain LOGIN", "AUTH=OLD",
		"LIMITS RCPTMAX=20 MAILMAX=5 x", "XSTARTTLS", "STARTTLSX",
		NULL };
	struct hello hello = read_hello(lines);

	(void)state;
	assert_true(hello.has_pipelining && hello.has_8bitmime &&
	    hello.has_smtputf8 && hello.has_chunking && hello.has_dsn &&
	    hello.has_requiretls && hello.has_size);
	assert_false(hello.has_starttls);
	assert_int_equal(hello.size_max, 1000);
	assert_int_equal(hello.rcpt_max, 20);
	assert_int_equal(hello.mail_max, 5);
	assert_true(hello_has_auth(&hello, "PLAIN"));
	assert_true(hello_has_auth(&hello, "LOGIN"));
	assert_true(hello_has_auth(&hello, "OLD"));
	assert_false(hello_has_auth(&hello, "LOG"));
}

static void
test_nonsense(void **state)
{
	static const char *const lines[] = { "", "", " ", "SIZE",
		"SIZE 99999999999999999999999", "SIZE -1", "LIMITS RCPTMAX=x",
		"LIMITS  MAILMAX=", "AUTH", "AUTH  ", NULL };
	static const char *const long_auth[] = { "x",
		"AUTH 0123456789012345678901234567890123456789012345678901234567"
		"89012345678901234567890123456789012345678901234567890123456789"
		"01234567890123456789012345678901234567890123456789012345678901"
		"23456789012345678901234567890123456789012345678901234567890123"
		"4567890123456789 PLAIN",
		"AUTH PLAIN", NULL };
	struct hello hello = read_hello(lines);

	(void)state;
	assert_true(hello.has_size);
	assert_int_equal(hello.size_max, 0);
	assert_int_equal(hello.rcpt_max, 0);
	assert_int_equal(hello.mail_max, 0);
	assert_string_equal(hello.auth, "");
	hello = read_hello(long_auth);
	assert_true(hello_has_auth(&hello, "PLAIN"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_extensions),
		cmocka_unit_test(test_nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
