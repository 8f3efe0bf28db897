/* SPDX-License-Identifier: ISC */
/* Tests of smtp/cmd_misc.c; which arguments are taken is in verbs.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/smtp_talk.h"

static const struct smtp_kind smtp = { .is_lmtp = false };

static void
rset_keeps_the_hello(void **state)
{
	struct talk talk;

	(void)state;
	talk_begin(&talk, &smtp);
	talk_must(&talk, "EHLO x", "250");
	talk_must(&talk, "MAIL FROM:<a@b.example>", "250");
	talk_must(&talk, "RCPT TO:<c@example.test>", "250");
	talk_expect(&talk, "rset", "RSET", "250 2.0.0 flushed");
	assert_false(talk.session.transaction.is_open);
	assert_int_equal(talk.session.transaction.recipient_count, 0);
	assert_true(talk.session.has_hello);
	talk_expect(&talk, "again", "MAIL FROM:<a@b.example>", "250 2.1.0 ok");
	/* These change nothing. */
	talk_must(&talk, "NOOP", "250 2.0.0 ok");
	talk_must(&talk, "VRFY x", "252 2.7.0 Cannot VRFY");
	talk_must(&talk, "HELP", "214-2.0.0 ");
	assert_true(talk.session.transaction.is_open);
	talk_end(&talk);
}

static void
quit_ends_the_session(void **state)
{
	struct talk talk;

	(void)state;
	smtp_home_write(root, "control/smtpgreeting", "g.test first\nsecond\n");
	talk_begin(&talk, &smtp);
	talk_must(&talk, "EHLO x", "250");
	talk_expect(&talk, "quit", "QUIT", "221 2.0.0 g.test first");
	assert_true(talk.session.is_over);
	assert_int_equal(talk.session.errors, 0);
	talk_end(&talk);
}

/* RFC 5321 7.3: the same for a user that is there and for one that is not. */
static void
vrfy_tells_nothing(void **state)
{
	static const char *const commands[] = { "VRFY postmaster",
		"VRFY nobody@example.test", "VRFY <a@b.example>", "VRFY \"" };
	struct talk talk;

	(void)state;
	talk_begin(&talk, &smtp);
	talk_must(&talk, "EHLO x", "250");
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		talk_expect(&talk, commands[i], commands[i],
		    "252 2.7.0 Cannot VRFY user, but will accept message and "
		    "attempt delivery (#2.7.0)");
	talk_end(&talk);
}

static void
what_is_not_done_counts_as_a_mistake(void **state)
{
	struct talk talk;

	(void)state;
	talk_begin(&talk, &smtp);
	talk_must(&talk, "EHLO x", "250");
	for (unsigned i = 1; i < SMTP_ERRORS_MAX; i++) {
		talk_expect(&talk, "turn", "TURN",
		    "502 5.5.1 command not implemented (#5.5.1)");
		assert_false(talk.session.is_over);
	}
	talk_must(&talk, "TURN", "502 5.5.1");
	assert_non_null(strstr(talk.replies.data,
	    "\r\n421 4.7.1 too many errors, goodbye (#4.7.1)\r\n"));
	assert_true(talk.session.is_over);
	talk_end(&talk);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TALK_TEST(rset_keeps_the_hello),
		TALK_TEST(quit_ends_the_session),
		TALK_TEST(vrfy_tells_nothing),
		TALK_TEST(what_is_not_done_counts_as_a_mistake),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
