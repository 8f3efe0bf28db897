/* SPDX-License-Identifier: ISC */
#include "smtp/reply.h"

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
		int code;
		bool is_last;
		const char *status, *text, *wanted;
	} rows[] = {
		{ 250, true, NULL, "ok", "250 ok\r\n" },
		{ 250, true, "2.1.0", "ok", "250 2.1.0 ok\r\n" },
		{ 250, false, "", "SIZE 0", "250-SIZE 0\r\n" },
		{ 550, true, NULL, "a\r\nb\x80\x7f", "550 a??b??\r\n" },
		{ 220, true, NULL, "", "220 \r\n" },
	};
	char out[SMTP_REPLY_MAX + 1];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		size_t length = smtp_reply_format(out, rows[i].code,
		    rows[i].is_last, rows[i].status, rows[i].text);

		assert_string_equal(out, rows[i].wanted);
		assert_int_equal(length, strlen(rows[i].wanted));
	}
}

static void
never_longer_than_512_octets(void **state)
{
	char out[SMTP_REPLY_MAX + 1], text[2000];
	size_t length;

	(void)state;
	memset(text, 'x', sizeof(text));
	for (length = 480; length < sizeof(text); length += 1) {
		size_t wanted = length + 4 + 6 + 2;
		size_t made;

		text[length] = '\0';
		made = smtp_reply_format(out, 550, true, "5.1.1", text);
		assert_int_equal(
		    made, wanted > SMTP_REPLY_MAX ? SMTP_REPLY_MAX : wanted);
		assert_int_equal(strlen(out), made);
		assert_string_equal(out + made - 2, "\r\n");
		text[length] = 'x';
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines),
		cmocka_unit_test(never_longer_than_512_octets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
