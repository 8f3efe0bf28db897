/* SPDX-License-Identifier: ISC */
#include "smtp/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

static void
made_safe(void **state)
{
	static const struct {
		const char *text;
		size_t max;
		const char *header;
	} rows[] = {
		{ "mail.example.org", 99, "mail.example.org" },
		{ "[192.0.2.1]", 99, "[192.0.2.1]" },
		{ "a b)c\r\nX: y", 99, "a?b?c??X:?y" },
		{ "<a>\x7f\x01\"", 99, "?a????" },
		{ "j\xc3\xbc", 99, "j??" },
		{ "abcdef", 3, "abc" },
	};
	struct buf buf;
	size_t i;

	(void)state;
	buf_init(&buf);
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		buf_reset(&buf);
		smtp_text_put_header(&buf, rows[i].text, rows[i].max);
		assert_string_equal(buf.data, rows[i].header);
	}
	buf_release(&buf);
}

static void
plain(void **state)
{
	(void)state;
	assert_true(smtp_text_is_plain("a+b@c.example"));
	assert_true(smtp_text_is_plain(""));
	assert_false(smtp_text_is_plain("a b@c"));
	assert_false(smtp_text_is_plain("a>b@c"));
	assert_false(smtp_text_is_plain("<a@c"));
	assert_false(smtp_text_is_plain("\xc3\xbc@c"));
	assert_false(smtp_text_is_plain("a\nb"));
	assert_false(smtp_text_is_plain("a\x7f"));
}

static void
status(void **state)
{
	static const struct {
		const char *text;
		const char *wanted; /* NULL: none */
	} rows[] = {
		{ "qq write error or disk full (#4.3.0)", "4.3.0" },
		{ "no (#5.7.10)", "5.7.10" },
		{ "a (#5.1.1) b (#4.2.2)", "4.2.2" },
		{ "nothing", NULL },
		{ "", NULL },
		{ "(#", NULL },
		{ "(#5.7", NULL },
		{ "(#5.7.1", NULL },
		{ "(#3.7.1)", NULL },
		{ "(#5.7.1111111)", NULL },
		{ "(#57..1)", NULL },
	};
	size_t i, length;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const char *found = smtp_text_status(rows[i].text, &length);

		if (rows[i].wanted == NULL) {
			if (found != NULL)
				fail_msg("'%s': %s", rows[i].text, found);
			continue;
		}
		assert_non_null(found);
		assert_int_equal(length, strlen(rows[i].wanted));
		assert_memory_equal(found, rows[i].wanted, length);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(made_safe),
		cmocka_unit_test(plain),
		cmocka_unit_test(status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
