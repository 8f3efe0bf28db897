/* SPDX-License-Identifier: ISC */
#include "delivery/autorespond.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

static void
who_gets_no_answer(void **state)
{
	static const struct {
		const char *sender, *header;
		bool is_answered;
	} rows[] = {
		{ "bob@x.y", "To: al@x.y\n", true },
		{ "bob@x.y", "Cc: Al <AL@x.y>\nAuto-Submitted: no\n", true },
		{ "bob@x.y", "To: al@x.y\nPrecedence: first-class\n", true },
		{ "", "To: al@x.y\n", false },
		{ "#@[]", "To: al@x.y\n", false },
		{ "bob", "To: al@x.y\n", false },
		{ "al@x.y", "To: al@x.y\n", false },
		{ "owner-l@x.y", "To: al@x.y\n", false },
		{ "l-request@x.y", "To: al@x.y\n", false },
		{ "l-bounces@x.y", "To: al@x.y\n", false },
		{ "l-owner-@x.y", "To: al@x.y\n", false },
		{ "Mailer-Daemon@x.y", "To: al@x.y\n", false },
		{ "bob@x.y", "To: al@x.y\nauto-submitted: auto-replied\n",
		    false },
		{ "bob@x.y", "To: al@x.y\nPrecedence: Junk\n", false },
		{ "bob@x.y", "To: al@x.y\nList-Id: l\n", false },
		{ "bob@x.y", "To: al@x.y\nX-Spam-Flag: YES\n", false },
		{ "bob@x.y", "To: all@x.y\n", false },
		{ "bob@x.y", "", false },
	};
	const char *const mine[] = { "al@x.y", NULL };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct header header;

		header_read(&header, rows[i].header, strlen(rows[i].header));
		assert_int_equal(
		    autorespond_why_not(&header, rows[i].sender, mine) == NULL,
		    rows[i].is_answered);
		header_release(&header);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_gets_no_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
