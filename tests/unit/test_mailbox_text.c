/* SPDX-License-Identifier: ISC */
/* Tests of base/mailbox_text.c. */
#include "base/mailbox_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

static void
mailboxes(void **state)
{
	static const struct {
		const char *mailbox;
		const char *wanted;
	} rows[] = {
		{ "", "" },
		{ "a@example.org", "a@example.org" },
		{ "a.b+c@example.org", "a.b+c@example.org" },
		{ "j\303\251@example.org", "j\303\251@example.org" },
		{ "no-domain", "no-domain" },
		{ "no domain", "\"no domain\"" },
		{ "a b@example.org", "\"a b\"@example.org" },
		{ "a\"b@example.org", "\"a\\\"b\"@example.org" },
		{ "\"b\"@example.org", "\"\\\"b\\\"\"@example.org" },
		{ "a\\b@example.org", "\"a\\\\b\"@example.org" },
		{ "a@b@example.org", "\"a@b\"@example.org" },
		{ "a>b@example.org", "\"a>b\"@example.org" },
		{ ".a@example.org", "\".a\"@example.org" },
		{ "a.@example.org", "\"a.\"@example.org" },
		{ "a..b@example.org", "\"a..b\"@example.org" },
		{ "@example.org", "\"\"@example.org" },
		{ "#@[]", "#@[]" }, /* qmail's double bounce */
		{ "a\nX: y@example.org", "\"a_X: y\"@example.org" },
		{ "a@example.org\r\nX: y", "a@example.org__X: y" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct buf buf;

		buf_init(&buf);
		mailbox_put_quoted(&buf, rows[i].mailbox);
		assert_string_equal(buf.data, rows[i].wanted);
		/* What has got quotes shows them. */
		assert_int_equal(
		    mailbox_is_quoted(buf.data), buf.data[0] == '"');
		buf_release(&buf);
	}
}

static void
quoted_ones(void **state)
{
	static const struct {
		const char *mailbox;
		bool wanted;
	} rows[] = {
		{ "", false },
		{ "\"", false },
		{ "\"\"", true },
		{ "\"a\"", true },
		{ "\"a@b\"@c", true },
		{ "\"a\\\"\"@c", true },
		{ "\"a\\\"@c", false },
		{ "\"a\"b\"@c", false },
		{ "\"a\nb\"@c", false },
		{ "a\"@c", false },
		{ "\"a@c", false },
		{ "a b@c", false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (mailbox_is_quoted(rows[i].mailbox) != rows[i].wanted)
			fail_msg("'%s'", rows[i].mailbox);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mailboxes),
		cmocka_unit_test(quoted_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
