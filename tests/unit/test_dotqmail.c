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
		{ "| vdelivermail '' delete\r\n", ABSENT_DELETE, NULL },
		{ "#c\r\n\r\n| vdelivermail '' /d/u0 \r\n", ABSENT_FOLDER,
		    "/d/u0" },
		{ "| vdelivermail '' delete\r", ABSENT_DELETE, NULL },
		{ "| vdelivermail '' \rdelete\n", ABSENT_GENERAL, NULL },
		{ "\r\n", ABSENT_GENERAL, NULL },
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
		    rows[i].text, strlen(rows[i].text), &rule, NULL);

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
	assert_false(dotqmail_read(text, sizeof(text) - 1, &rule, NULL));
}

/* Who wrote the line is told which word is wrong. */
static void
faults_are_named(void **state)
{
	static const struct {
		const char *text;
		unsigned line;
		const char *wanted;
	} rows[] = {
		{ "", 0, "it is empty" },
		{ "# c\n\r\n", 0, "it has only blank lines and comments" },
		{ "# c\n| x/vdelivermail '' delete\n\n&a\n", 4,
		    "'&a' is a second line" },
		{ "./Maildir/\r\n", 1, "'./Maildir/' does not begin with '|'" },
		{ "\n| vdelivermai '' delete\n", 2,
		    "'| vdelivermai '' delete' does not run vdelivermail" },
		{ "|", 1, "'|' does not run vdelivermail" },
		{ "| vdelivermail delete", 1,
		    "'| vdelivermail delete' has no '' behind the program" },
		{ "| vdelivermail ''", 1, "'| vdelivermail ''' has no action" },
		{ "| vdelivermail '' delete x\n", 1,
		    "'x' stands behind the action" },
		{ "| vdelivermail '' bounce-no-mailbx\n", 1,
		    "'bounce-no-mailbx' is not an action (bounce-no-mailbox, " },
	};
	static const char example[] =
	    "; write | vdelivermail '' bounce-no-mailbox";
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct dotqmail_fault fault;
		struct absent_rule rule;
		const char *reason = fault.reason.text;

		assert_false(dotqmail_read(
		    rows[i].text, strlen(rows[i].text), &rule, &fault));
		if (fault.line != rows[i].line ||
		    strncmp(reason, rows[i].wanted, strlen(rows[i].wanted)) !=
			0 ||
		    strcmp(reason + strlen(reason) - sizeof(example) + 1,
			example) != 0)
			fail_msg(
			    "'%s': %u '%s'", rows[i].text, fault.line, reason);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files),
		cmocka_unit_test(nul_bytes_are_not_plain),
		cmocka_unit_test(faults_are_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
