/* SPDX-License-Identifier: ISC */
/* Tests of smtp/cmd_mail.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/smtp_talk.h"

#define OK "250 2.1.0 ok"
#define BAD_ADDRESS "555 5.1.3 syntax error in address (#5.1.3)"
#define BAD_PARAMETER "501 5.5.4 invalid parameter syntax (#5.5.4)"
#define NO_PARAMETER "555 5.5.4 parameter not implemented (#5.5.4)"
#define TOO_LARGE                                                        \
	"552 5.3.4 sorry, that message size exceeds my databytes limit " \
	"(#5.3.4)"
#define NO_CONTROLS "451 4.3.0 Sorry, I'm unable to read controls (#4.3.0)"

/* A mailbox of length bytes; the caller frees. */
static char *
long_mailbox(size_t length)
{
	char *text = xmalloc(length + 1);

	memset(text, 'a', length);
	memcpy(text + length - 5, "@b.ex", 6);
	return text;
}

static void
paths_and_parameters(void **state)
{
	static const struct {
		const char *argument, *reply, *sender; /* NULL: refused */
	} rows[] = {
		{ "FROM:<a@b.example>", OK, "a@b.example" },
		{ "from:<a@b.example>", OK, "a@b.example" },
		{ "FROM: \t<a@b.example>", OK, "a@b.example" },
		{ "FROM:<>", OK, "" },
		{ "FROM:<@r.example:a@b.example>", OK, "a@b.example" },
		{ "FROM:a@b.example", OK, "a@b.example" },
		{ "F", BAD_ADDRESS, NULL },
		{ "FROM", BAD_ADDRESS, NULL },
		{ "FROM<a@b.example>", BAD_ADDRESS, NULL },
		{ "TO:<a@b.example>", BAD_ADDRESS, NULL },
		{ "FROM:", BAD_ADDRESS, NULL },
		{ "FROM:<a@b.example", BAD_ADDRESS, NULL },
		{ "FROM:<a@>", BAD_ADDRESS, NULL },
		{ "FROM:<a@b.example> SIZE=99 BODY=8BITMIME", OK,
		    "a@b.example" },
		{ "FROM:<a@b.example> SIZE=100", OK, "a@b.example" },
		{ "FROM:<a@b.example> SIZE=101", TOO_LARGE, NULL },
		{ "FROM:<a@b.example> SIZE=99999999999999999999", TOO_LARGE,
		    NULL },
		{ "FROM:<a@b.example> SIZE=", BAD_PARAMETER, NULL },
		{ "FROM:<a@b.example> SIZE=-1", BAD_PARAMETER, NULL },
		{ "FROM:<a@b.example>x", BAD_ADDRESS, NULL },
		{ "FROM:<a@b.example> RET=HDRS ENVID=x+2Fy", "250 2.1.0 ok",
		    "a@b.example" },
		{ "FROM:<a@b.example> RET=ALL",
		    "501 5.5.4 invalid parameter syntax (#5.5.4)", NULL },
		{ "FROM:<a@b.example> REQUIRETLS", NO_PARAMETER, NULL },
		{ "FROM:<\xc3\xa4@b.example>",
		    "553 5.6.7 sorry, a non-ASCII address needs SMTPUTF8 "
		    "(#5.6.7)",
		    NULL },
		{ "FROM:<\xc3\xa4@b.example> SMTPUTF8", OK,
		    "\xc3\xa4@b.example" },
	};
	const struct smtp_kind kind = { .is_lmtp = false };
	struct talk talk;

	(void)state;
	smtp_home_write(root, "control/databytes", "100\n");
	talk_begin(&talk, &kind);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct smtp_transaction *transaction =
		    &talk.session.transaction;
		char *command = xasprintf("MAIL %s", rows[i].argument);

		talk.session.errors = 0;
		talk_must(&talk, "EHLO x", "250");
		talk_expect(&talk, rows[i].argument, command, rows[i].reply);
		if (transaction->is_open != (rows[i].sender != NULL))
			fail_msg("%s: is it open?", rows[i].argument);
		if (rows[i].sender != NULL) {
			assert_string_equal(
			    transaction->sender, rows[i].sender);
			assert_int_equal(transaction->max_bytes, 100);
			assert_int_equal(transaction->is_utf8,
			    strstr(rows[i].argument, "SMTPUTF8") != NULL);
		} else
			assert_null(transaction->sender);
		free(command);
	}
	talk_end(&talk);
}

/* RFC 4865 */
static void
holds(void **state)
{
	static const char too_long[] =
	    "554 5.5.4 sorry, I do not hold a message for so long (#5.5.4)";
	static const struct {
		const char *parameters, *reply, *dsn;
	} rows[] = {
		{ "HOLDFOR=61", too_long, NULL },
		{ "HOLDUNTIL=2099-01-01T00:00:00Z", too_long, NULL },
		{ "HOLDUNTIL=2001-01-01T00:00:00Z", OK, "" },
		{ "HOLDFOR=60 ENVID=a", OK, " ENVID=a HOLD=" },
		{ "HOLDFOR=1 HOLDFOR=1",
		    "501 5.5.4 invalid parameter syntax (#5.5.4)", NULL },
	};
	const struct smtp_kind submission = { .is_submission = true };
	const struct smtp_kind kind = { .is_submission = false };
	struct talk talk;

	(void)state;
	smtp_home_write(root, "control/futurerelease", "60\n");
	talk_begin(&talk, &submission);
	talk.session.mechanism = "PLAIN";
	talk_must(&talk, "EHLO x", "250");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *dsn;
		char *command = xasprintf(
		    "MAIL FROM:<> %s", rows[i].parameters);

		talk.session.errors = 0;
		talk_expect(&talk, rows[i].parameters, command, rows[i].reply);
		dsn = talk.session.transaction.dsn;
		assert_int_equal(talk.session.transaction.is_open,
		    rows[i].dsn != NULL);
		if (rows[i].dsn != NULL)
			assert_memory_equal(
			    dsn, rows[i].dsn, strlen(rows[i].dsn));
		if (strstr(rows[i].parameters, "FOR=60") != NULL)
			assert_string_equal(dsn + strlen(dsn) - 3, "/60");
		free(command);
		talk_must(&talk, "RSET", "250");
	}
	talk.session.mechanism = NULL;
	talk_end(&talk);
	talk_begin(&talk, &kind);
	talk_must(&talk, "EHLO x", "250");
	talk_expect(&talk, "it is not offered", "MAIL FROM:<> HOLDFOR=1",
	    NO_PARAMETER);
	talk_end(&talk);
}

static void
addresses_have_a_limit(void **state)
{
	const struct smtp_kind kind = { .is_lmtp = false };
	struct talk talk;

	(void)state;
	talk_begin(&talk, &kind);
	talk_must(&talk, "EHLO x", "250");
	for (size_t length = SMTP_ADDRESS_MAX; length <= SMTP_ADDRESS_MAX + 1;
	     length++) {
		char *mailbox = long_mailbox(length);
		char *command = xasprintf("MAIL FROM:<%s>", mailbox);

		talk_must(&talk, "RSET", "250");
		talk_expect(&talk, "length", command,
		    length == SMTP_ADDRESS_MAX
			? OK
			: "501 5.1.3 sorry, that address is too long "
			  "(#5.1.3)");
		free(command);
		free(mailbox);
	}
	talk_end(&talk);
}

/* RFC 5321 3.2: who said HELO was offered no parameter. */
static void
helo_has_no_parameters(void **state)
{
	const struct smtp_kind kind = { .is_lmtp = false };
	struct talk talk;

	(void)state;
	talk_begin(&talk, &kind);
	talk_must(&talk, "HELO x", "250");
	talk_expect(&talk, "size", "MAIL FROM:<a@b.example> SIZE=1",
	    "555 parameter not implemented (#5.5.4)");
	talk_expect(&talk, "none", "MAIL FROM:<a@b.example>", "250 ok");
	talk_expect(&talk, "twice", "MAIL FROM:<a@b.example>",
	    "503 bad sequence of commands (#5.5.1)");
	assert_true(talk.session.transaction.is_open);
	assert_int_equal(talk.session.errors, 2);
	talk_end(&talk);
}

/* RFC 6409: the sender's client is known, or nothing is taken. */
static void
submission_needs_relaying(void **state)
{
	const struct smtp_kind kind = { .is_submission = true };
	struct talk talk;

	(void)state;
	talk_begin(&talk, &kind);
	talk_must(&talk, "EHLO x", "250");
	talk_expect(&talk, "stranger", "MAIL FROM:<a@b.example>",
	    "530 5.7.1 authentication required (#5.7.1)");
	assert_false(talk.session.transaction.is_open);
	vars_set(&talk.vars, "RELAYCLIENT", "");
	talk_expect(&talk, "known", "MAIL FROM:<a@b.example>", OK);
	talk_end(&talk);
}

/* Our mistake in the rules is temporary, and only for whom they concern. */
static void
rules_set_the_limits(void **state)
{
	static const struct {
		const char *command, *reply;
		uint64_t max_bytes, max_recipients;
	} rows[] = {
		{ "MAIL FROM:<a@b.example>", OK, 100, 5 },
		{ "MAIL FROM:<a@small.example>", OK, 10, 2 },
		{ "MAIL FROM:<a@small.example> SIZE=11", TOO_LARGE, 0, 0 },
		{ "MAIL FROM:<a@free.example> SIZE=101", OK, 0, 5 },
		{ "MAIL FROM:<a@x.example>", NO_CONTROLS, 0, 0 },
		{ "MAIL FROM:<a@y.example>", NO_CONTROLS, 0, 0 },
		{ "MAIL FROM:<a@empty.example>", OK, 100, 5 },
	};
	const struct smtp_kind kind = { .is_lmtp = false };
	struct talk talk;

	(void)state;
	smtp_home_write(root, "control/databytes", "100\n");
	smtp_home_write(root, "control/maxrecipients", "5\n");
	smtp_home_write(root, "control/from.envrules",
	    "*@small.example:DATABYTES=10,MAXRECIPIENTS=2\n"
	    "*@free.example:DATABYTES=0\n"
	    "*@x.example:DATABYTES=1k\n"
	    "*@y.example:MAXRECIPIENTS=-1\n"
	    "*@empty.example:DATABYTES=\n");
	talk_begin(&talk, &kind);
	talk_must(&talk, "EHLO x", "250");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct smtp_transaction *transaction =
		    &talk.session.transaction;

		talk_must(&talk, "RSET", "250");
		talk_expect(
		    &talk, rows[i].command, rows[i].command, rows[i].reply);
		assert_int_equal(
		    transaction->is_open, strcmp(rows[i].reply, OK) == 0);
		assert_int_equal(transaction->max_bytes, rows[i].max_bytes);
		assert_int_equal(
		    transaction->max_recipients, rows[i].max_recipients);
		if (strcmp(rows[i].reply, NO_CONTROLS) == 0 &&
		    strstr(talk.logged.data, "is no number") == NULL)
			fail_msg("%s: not logged", rows[i].command);
		/* What one sender's rules set is not the next one's. */
		assert_int_equal(talk.vars.count, 0);
	}
	talk_end(&talk);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TALK_TEST(holds),
		TALK_TEST(paths_and_parameters),
		TALK_TEST(addresses_have_a_limit),
		TALK_TEST(helo_has_no_parameters),
		TALK_TEST(submission_needs_relaying),
		TALK_TEST(rules_set_the_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
