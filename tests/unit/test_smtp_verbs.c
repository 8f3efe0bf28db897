/* SPDX-License-Identifier: ISC */
/* Tests of smtp/verbs.c; what the verbs do is in the tests of smtp/cmd_*.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/smtp_talk.h"

static const struct smtp_kind smtp = { .is_lmtp = false };
static const struct smtp_kind lmtp = { .is_lmtp = true };

#define NOT_KNOWN "502 command not recognized (#5.5.2)"
#define NO_ARGUMENT "501 Syntax error (no parameters allowed) (#5.5.4)"
#define NEEDS_ONE "501 Syntax error (a parameter is needed) (#5.5.4)"
#define SAY_HELLO "503 Polite people say hello first (#5.5.4)"
#define SAY_LHLO "503 Polite people say hello (LHLO) first (#5.5.4)"
#define NOT_DONE "502 command not implemented (#5.5.1)"

/* Before hello, so without status codes. */
static void
what_is_a_command(void **state)
{
	static const struct {
		const char *command, *reply;
		unsigned errors;
		bool is_lmtp;
	} rows[] = {
		{ "X", NOT_KNOWN, 1, false },
		{ "NOO", NOT_KNOWN, 1, false },
		{ "NOOPS", NOT_KNOWN, 1, false },
		{ "noop", "250 ok", 0, false },
		{ "NoOp with words", "250 ok", 0, false },
		{ "HELO", NEEDS_ONE, 1, false },
		{ "EHLO", NEEDS_ONE, 1, false },
		{ "LHLO", NOT_KNOWN, 1, false },
		{ "LHLO x", NOT_KNOWN, 1, false },
		{ "LHLO", NEEDS_ONE, 1, true },
		{ "MAIL", NEEDS_ONE, 1, false },
		{ "MAIL FROM:<>", SAY_HELLO, 1, false },
		{ "MAIL FROM:<>", SAY_LHLO, 1, true },
		{ "RCPT TO:<a@b>", SAY_HELLO, 1, false },
		{ "RCPT", NEEDS_ONE, 1, false },
		{ "DATA", SAY_HELLO, 1, false },
		{ "DATA x", NO_ARGUMENT, 1, false },
		{ "STARTTLS", NOT_DONE, 1, false },
		{ "STARTTLS x", NO_ARGUMENT, 1, false },
		{ "RSET", "250 flushed", 0, false },
		{ "RSET x", NO_ARGUMENT, 1, false },
		{ "VRFY", NEEDS_ONE, 1, false },
		{ "VRFY postmaster",
		    "252 Cannot VRFY user, but will accept message and "
		    "attempt delivery (#2.7.0)",
		    0, false },
		{ "QUIT x", NO_ARGUMENT, 1, false },
		{ "QUIT", "221 mail.example.test", 0, false },
		{ "EXPN x", NOT_DONE, 1, false },
		{ "AUTH PLAIN", SAY_HELLO, 1, false },
		{ "AUTH", NEEDS_ONE, 1, false },
		{ "AUTH PLAIN", NOT_DONE, 1, true },
		{ "ETRN x", NOT_DONE, 1, false },
		{ "ATRN", NOT_DONE, 1, false },
		{ "TURN", NOT_DONE, 1, false },
		{ "SEND FROM:<a@b>", NOT_DONE, 1, false },
		{ "SOML FROM:<a@b>", NOT_DONE, 1, false },
		{ "SAML FROM:<a@b>", NOT_DONE, 1, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct talk talk;

		talk_begin(&talk, rows[i].is_lmtp ? &lmtp : &smtp);
		talk_expect(&talk, "no hello", rows[i].command, rows[i].reply);
		if (talk.session.errors != rows[i].errors)
			fail_msg("%s: %u errors", rows[i].command,
			    talk.session.errors);
		if (talk.session.is_over !=
		    (strcmp(rows[i].command, "QUIT") == 0))
			fail_msg("%s: is it over?", rows[i].command);
		talk_end(&talk);
	}
}

static void
a_verb_may_be_cut_from_a_line(void **state)
{
	/* What follows the verb is not the line's. */
	static const struct smtp_line line = { .verb = "NOOPERA",
		.verb_length = 4,
		.argument = "",
		.argument_length = 0 };
	struct talk talk;
	int saved;

	(void)state;
	talk_begin(&talk, &smtp);
	saved = talk_log_begin(&talk);
	smtp_dispatch(&talk.session, &line);
	assert_string_equal(talk_log_end(&talk, saved), "250 ok\r\n");
	talk_end(&talk);
}

static void
help_names_the_verbs(void **state)
{
	static const struct {
		const char *verbs;
		bool is_lmtp;
	} rows[] = {
		{ "HELO EHLO MAIL RCPT DATA BDAT RSET NOOP VRFY HELP STARTTLS "
		  "AUTH QUIT",
		    false },
		{ "LHLO MAIL RCPT DATA BDAT RSET NOOP VRFY HELP STARTTLS QUIT",
		    true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *wanted = xasprintf(
		    "214-This server supports the following commands:\r\n"
		    "214 %s\r\n",
		    rows[i].verbs);
		struct talk talk;

		talk_begin(&talk, rows[i].is_lmtp ? &lmtp : &smtp);
		assert_string_equal(talk_say(&talk, "HELP"), wanted);
		assert_string_equal(talk_say(&talk, "HELP MAIL"), wanted);
		talk_end(&talk);
		free(wanted);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TALK_TEST(what_is_a_command),
		TALK_TEST(a_verb_may_be_cut_from_a_line),
		TALK_TEST(help_names_the_verbs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
