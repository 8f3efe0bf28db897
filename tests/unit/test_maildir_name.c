/* SPDX-License-Identifier: ISC */
#include "mailbox/maildir_name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

static void
a_message_has_the_same_name_again(void **state)
{
	const struct uuid uuid = { { 0x01, 0x8b, 0xcf, 0xe5, 0x68, 0x7b, 0x70,
	    0, 0x80, 1, 2, 3, 4, 5, 6, 0xff } };
	static const char wanted[] =
	    "1700000000.M018bcfe5687b700080010203040506ffR";
	char a[MAILDIR_NAME_SIZE], b[MAILDIR_NAME_SIZE];

	(void)state;
	maildir_uuid_name(a, &uuid, "d-u@d.test", "h.test");
	maildir_uuid_name(b, &uuid, "D-U@d.TEST", "h.test");
	assert_string_equal(a, b);
	assert_int_equal(strncmp(a, wanted, strlen(wanted)), 0);
	assert_string_equal(a + strlen(wanted) + 16, ".h.test");
	assert_int_equal(strspn(a + strlen(wanted), "0123456789abcdef"), 16);
	maildir_uuid_name(b, &uuid, "d-v@d.test", "h.test");
	assert_string_not_equal(a, b);
	maildir_queued_name(a, 1700000000, UINT64_MAX, "queue1", "u@d", "h");
	maildir_queued_name(b, 1700000000, UINT64_MAX, "queue1", "U@d", "h");
	assert_string_equal(a, b);
	assert_int_equal(
	    strncmp(a, "1700000000.I18446744073709551615Qqueue1R", 40), 0);
	maildir_queued_name(b, 1700000000, UINT64_MAX, "queue2", "u@d", "h");
	assert_string_not_equal(a, b);
	maildir_queued_name(b, 1700000001, UINT64_MAX, "queue1", "u@d", "h");
	assert_string_not_equal(a, b);
}

static void
long_names_are_cut_and_escaped(void **state)
{
	char long_name[300], host[MAILDIR_HOST_SIZE], name[MAILDIR_NAME_SIZE];
	const struct uuid uuid = { { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff } };

	(void)state;
	maildir_escape("a/b:c,d", host, sizeof(host));
	assert_string_equal(host, "a\\057b\\072c\\054d");
	memset(long_name, ':', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	maildir_escape(long_name, host, sizeof(host));
	assert_true(strlen(host) < sizeof(host));
	assert_int_equal(strlen(host) % 4, 0);
	maildir_uuid_name(name, &uuid, long_name, host);
	assert_string_equal(name + strlen(name) - strlen(host), host);
	maildir_queued_name(
	    name, INT64_MAX, UINT64_MAX, long_name, long_name, host);
	assert_true(strlen(name) < MAILDIR_NAME_SIZE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_has_the_same_name_again),
		cmocka_unit_test(long_names_are_cut_and_escaped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
