/* SPDX-License-Identifier: ISC */
#include "delivery/dotqmail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

static void
files(void **state)
{
	static const struct {
		const char *text;
		enum absent_action action;
		const char *target;
	} rows[] = {
		/* what vadddomain writes */
		{ "| /usr/sbin/vdelivermail '' bounce-no-mailbox\n",
		    ABSENT_BOUNCE, NULL },
		{ "| /usr/sbin/vdelivermail '' delete\n", ABSENT_DELETE, NULL },
		{ "| /usr/sbin/vdelivermail '' /var/d/example.test/u0\n",
		    ABSENT_FOLDER, "/var/d/example.test/u0" },
		{ "| /usr/sbin/vdelivermail '' u0@example.test\n",
		    ABSENT_ADDRESS, "u0@example.test" },
		/* other ways to say the same */
		{ "|vdelivermail '' delete", ABSENT_DELETE, NULL },
		{ "|  ./bin/vdelivermail\t''  delete \t\n", ABSENT_DELETE,
		    NULL },
		{ "| vdelivermail \"\" delete\n", ABSENT_DELETE, NULL },
		{ "# comment\n\n| vdelivermail '' delete\n \n#end\n",
		    ABSENT_DELETE, NULL },
		/* anything else is the general way's */
		{ "", ABSENT_GENERAL, NULL },
		{ "\n", ABSENT_GENERAL, NULL },
		{ "# comment\n", ABSENT_GENERAL, NULL },
		{ "./Maildir/\n", ABSENT_GENERAL, NULL },
		{ "&u0@example.test\n", ABSENT_GENERAL, NULL },
		{ " | vdelivermail '' delete\n", ABSENT_GENERAL, NULL },
		{ "| vdelivermail '' delete\n| x\n", ABSENT_GENERAL, NULL },
		{ "| vdelivermail '' delete\n&u0@e.test\n", ABSENT_GENERAL,
		    NULL },
		{ "| vdelivermail '' delete more\n", ABSENT_GENERAL, NULL },
		{ "| vdelivermail ''\n", ABSENT_GENERAL, NULL },
		{ "| vdelivermail delete\n", ABSENT_GENERAL, NULL },
		{ "| vdelivermail x delete\n", ABSENT_GENERAL, NULL },
		{ "| /bin/notvdelivermail '' delete\n", ABSENT_GENERAL, NULL },
		{ "| /bin/vdelivermail2 '' delete\n", ABSENT_GENERAL, NULL },
		{ "| $H/vdelivermail '' delete\n", ABSENT_GENERAL, NULL },
		{ "| x;vdelivermail '' delete\n", ABSENT_GENERAL, NULL },
		{ "| vdelivermail '' delete;rm\n", ABSENT_GENERAL, NULL },
		{ "| vdelivermail '' /d/$USER\n", ABSENT_GENERAL, NULL },
		{ "| vdelivermail '' '/d/u0'\n", ABSENT_GENERAL, NULL },
		{ "| vdelivermail '' example.test:10.0.0.1:25\n",
		    ABSENT_GENERAL, NULL },
		{ "| vdelivermail '' @example.test\n", ABSENT_GENERAL, NULL },
		{ "| vdelivermail '' u0@\n", ABSENT_GENERAL, NULL },
		{ "| vdelivermail '' u0@a@b\n", ABSENT_GENERAL, NULL },
		{ "| vdelivermail '' Delete\n", ABSENT_GENERAL, NULL },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct absent_rule rule;
		bool is_standard = dotqmail_read(
		    rows[i].text, strlen(rows[i].text), &rule);

		if (rule.action != rows[i].action ||
		    is_standard != (rows[i].action != ABSENT_GENERAL))
			fail_msg("'%s': %d %d", rows[i].text, is_standard,
			    (int)rule.action);
		if ((rule.target == NULL) != (rows[i].target == NULL))
			fail_msg("'%s': target", rows[i].text);
		if (rule.target != NULL)
			assert_string_equal(rule.target, rows[i].target);
		dotqmail_release(&rule);
		assert_null(rule.target);
	}
}

static void
nul_bytes_are_not_plain(void **state)
{
	static const char text[] = "| vdelivermail '' /d/u0\0x\n";
	struct absent_rule rule;

	(void)state;
	assert_false(dotqmail_read(text, sizeof(text) - 1, &rule));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files),
		cmocka_unit_test(nul_bytes_are_not_plain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
