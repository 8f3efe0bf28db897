/* SPDX-License-Identifier: ISC */
/*
 * Tests of smtp/cmd_rcpt.c; who may send where is in test_smtp_policy_*.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/smtp_talk.h"

static const struct smtp_kind smtp = { .is_lmtp = false };

#define OK "250 2.1.5 ok"
#define BAD_ADDRESS "555 5.1.3 syntax error in address (#5.1.3)"

static void
begin(struct talk *talk)
{
	talk_must(talk, "EHLO x", "250");
	talk_must(talk, "MAIL FROM:<a@b.example>", "250");
}

static void
paths_and_parameters(void **state)
{
	static const struct {
		const char *argument, *reply;
		const char *address; /* in the envelope; NULL: refused */
	} rows[] = {
		{ "TO:<c@example.test>", OK, "c@example.test" },
		{ "to: <c@example.test>", OK, "c@example.test" },
		{ "TO:<@r.example:c@example.test>", OK, "c@example.test" },
		{ "TO:<postmaster>", OK, "postmaster" },
		{ "TO:<>", BAD_ADDRESS, NULL },
		{ "TO:", BAD_ADDRESS, NULL },
		{ "FROM:<c@example.test>", BAD_ADDRESS, NULL },
		{ "TO:<c@example.test", BAD_ADDRESS, NULL },
		{ "TO:<c@example.test> NOTIFY=NEVER,DELAY",
		    "501 5.5.4 invalid parameter syntax (#5.5.4)", NULL },
		{ "TO:<c@example.test> X=NEVER",
		    "555 5.5.4 parameter not implemented (#5.5.4)", NULL },
		{ "TO:<c@example.test> =",
		    "501 5.5.4 invalid parameter syntax (#5.5.4)", NULL },
		{ "TO:<\xc3\xa4@example.test>",
		    "553 5.6.7 sorry, a non-ASCII address needs SMTPUTF8 "
		    "(#5.6.7)",
		    NULL },
		/* Our own address is the domain of localiphost. */
		{ "TO:<c@[192.0.2.2]>", OK, "c@example.test" },
		{ "TO:<c@[IPv6:::ffff:192.0.2.2]>",
		    "553 5.7.1 sorry, that domain isn't in my list of allowed "
		    "rcpthosts (#5.7.1)",
		    NULL },
		{ "TO:<c@[192.0.2.22]>",
		    "553 5.7.1 sorry, that domain isn't in my list of allowed "
		    "rcpthosts (#5.7.1)",
		    NULL },
	};
	struct talk talk;

	(void)state;
	smtp_home_write(root, "control/localiphost", "example.test\n");
	talk_begin(&talk, &smtp);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct smtp_transaction *transaction =
		    &talk.session.transaction;
		char *command = xasprintf("RCPT %s", rows[i].argument);

		talk.session.errors = 0;
		begin(&talk);
		talk_expect(&talk, rows[i].argument, command, rows[i].reply);
		assert_int_equal(
		    transaction->recipient_count, rows[i].address != NULL);
		if (rows[i].address != NULL)
			assert_string_equal(transaction->recipients[0].address,
			    rows[i].address);
		assert_true(transaction->is_open);
		free(command);
	}
	talk_end(&talk);
}

/* U-label and A-label are one domain, and the envelope has one of them. */
static void
both_spellings_of_a_domain(void **state)
{
	static const struct {
		const char *argument, *reply, *address;
	} rows[] = {
		{ "TO:<c@xn--bcher-kva.test>", OK, "c@xn--bcher-kva.test" },
		{ "TO:<c@b\303\274cher.test>", OK, "c@xn--bcher-kva.test" },
		{ "TO:<\303\244@B\303\234CHER.test>", OK,
		    "\303\244@xn--bcher-kva.test" },
		{ "TO:<c@\342\230\225.test>",
		    "553 5.7.1 sorry, that domain isn't in my list of allowed "
		    "rcpthosts (#5.7.1)",
		    NULL },
	};
	static const char *const files[] = { "b\303\274cher.test\n",
		"xn--bcher-kva.test\n" };

	(void)state;
	for (size_t file = 0; file < 2; file++) {
		struct talk talk;

		smtp_home_write(root, "control/rcpthosts", files[file]);
		talk_begin(&talk, &smtp);
		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
			char *command = xasprintf("RCPT %s", rows[i].argument);

			talk_must(&talk, "EHLO x", "250");
			talk_must(&talk, "MAIL FROM:<a@b> SMTPUTF8", "250");
			talk_expect(
			    &talk, rows[i].argument, command, rows[i].reply);
			if (rows[i].address != NULL)
				assert_string_equal(
				    talk.session.transaction.recipients[0]
					.address,
				    rows[i].address);
			free(command);
		}
		talk_end(&talk);
	}
}

static void
only_in_sequence(void **state)
{
	struct talk talk;

	(void)state;
	talk_begin(&talk, &smtp);
	talk_must(&talk, "EHLO x", "250");
	talk_expect(&talk, "no mail", "RCPT TO:<c@example.test>",
	    "503 5.5.1 MAIL first (#5.5.1)");
	begin(&talk);
	talk_expect(&talk, "first", "RCPT TO:<c@example.test>", OK);
	talk_input(&talk, "x", 1);
	talk_must(&talk, "BDAT 1", "250");
	talk_expect(&talk, "behind a chunk", "RCPT TO:<c@example.test>",
	    "503 5.5.1 bad sequence of commands (#5.5.1)");
	talk_end(&talk);
}

/* RFC 5321 4.5.3.1.10: 452, and those that were taken stay. */
static void
as_many_as_may_be(void **state)
{
	struct talk talk;

	(void)state;
	smtp_home_write(root, "control/maxrecipients", "2\n");
	talk_begin(&talk, &smtp);
	begin(&talk);
	talk_expect(&talk, "one", "RCPT TO:<c@example.test>", OK);
	talk_expect(&talk, "two", "RCPT TO:<c@example.test>", OK);
	for (int i = 0; i < 2; i++)
		talk_expect(&talk, "three", "RCPT TO:<d@example.test>",
		    "452 4.5.3 sorry, too many recipients (#4.5.3)");
	assert_non_null(strstr(talk.logged.data, "Too many RECIPIENTS"));
	assert_int_equal(talk.session.transaction.recipient_count, 2);
	assert_int_equal(talk.session.errors, 0);
	talk_end(&talk);
}

/* What RELAYCLIENT holds stands behind every address. */
static void
relaying(void **state)
{
	const struct smtp_recipient *recipients;
	struct talk talk;

	(void)state;
	talk_begin(&talk, &smtp);
	vars_set(&talk.vars, "RELAYCLIENT", "@gate.example");
	begin(&talk);
	talk_expect(&talk, "ours", "RCPT TO:<c@example.test>", OK);
	talk_expect(&talk, "far", "RCPT TO:<d@far.example>", OK);
	recipients = talk.session.transaction.recipients;
	assert_string_equal(
	    recipients[0].address, "c@example.test@gate.example");
	assert_false(recipients[0].is_relayed);
	assert_string_equal(
	    recipients[1].address, "d@far.example@gate.example");
	assert_true(recipients[1].is_relayed);
	talk_end(&talk);
}

/* A recipient's rules are those of the message from then on. */
static void
rules_of_the_domain(void **state)
{
	struct talk talk;

	(void)state;
	smtp_home_write(
	    root, "control/domainqueue", "example.test:QUEUE_BASE=/slow\n");
	talk_begin(&talk, &smtp);
	begin(&talk);
	talk_expect(&talk, "rules", "RCPT TO:<c@example.test>", OK);
	assert_string_equal(
	    vars_get(smtp_transaction_vars(&talk.session), "QUEUE_BASE"),
	    "/slow");
	/* A further one may name another queue: none is asked yet. */
	assert_null(talk.session.transaction.sink);
	talk_must(&talk, "RSET", "250");
	assert_null(
	    vars_get(smtp_transaction_vars(&talk.session), "QUEUE_BASE"));
	talk_end(&talk);
}

static void
memory(void **state)
{
	struct talk talk;
	uint64_t taken = 0;

	(void)state;
	talk_begin(&talk, &smtp);
	begin(&talk);
	while (smtp_server_take_memory(talk.server, 64))
		taken += 64;
	talk_expect(&talk, "none left", "RCPT TO:<c@example.test>",
	    "452 4.3.1 sorry, I am short of memory, try again later (#4.3.1)");
	assert_int_equal(talk.session.transaction.recipient_count, 0);
	smtp_server_give_memory(talk.server, taken);
	talk_expect(&talk, "again", "RCPT TO:<c@example.test>", OK);
	talk_end(&talk);
}

/* Else one client could use up sessionmemory for all of them. */
static void
refused_recipients_take_nothing(void **state)
{
	struct talk talk;

	(void)state;
	unsetenv("NULLQUEUE");
	talk_begin(&talk, &smtp);
	begin(&talk);
	for (int i = 0; i < SMTP_DEFERRED_RECIPIENTS_MAX; i++) {
		talk_must(&talk, "RCPT TO:<c@example.test>", "451 ");
		assert_int_equal(talk.session.transaction.recipient_count, 0);
		assert_int_equal(talk.session.transaction.taken_bytes, 0);
	}
	/* A new transaction does not begin the count again. */
	talk_must(&talk, "RSET", "250");
	begin(&talk);
	assert_false(talk.session.is_over);
	talk_must(&talk, "RCPT TO:<c@example.test>", "451 ");
	assert_non_null(strstr(talk.replies.data,
	    "\r\n421 4.3.2 there is no queue, try again later (#4.3.2)\r\n"));
	assert_true(talk.session.is_over);
	talk_end(&talk);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TALK_TEST(paths_and_parameters),
		TALK_TEST(both_spellings_of_a_domain),
		TALK_TEST(only_in_sequence),
		TALK_TEST(as_many_as_may_be),
		TALK_TEST(relaying),
		TALK_TEST(rules_of_the_domain),
		TALK_TEST(memory),
		TALK_TEST(refused_recipients_take_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
