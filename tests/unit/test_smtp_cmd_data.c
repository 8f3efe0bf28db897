/* SPDX-License-Identifier: ISC */
/* Tests of smtp/cmd_data.c; what is stored is in test_smtp_message.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/smtp_talk.h"

static const struct smtp_kind smtp = { .is_lmtp = false };

#define GO "354 go ahead\r\n"
#define ACCEPTED GO "250 2.0.0 ok "
#define BARE_LF GO "554 5.6.0 Sorry, I received Bare LF. (#5.6.0)\r\n"

static void
begin_transaction(struct talk *talk)
{
	talk_must(talk, "EHLO x", "250");
	talk_must(talk, "MAIL FROM:<a@b.example>", "250");
	talk_must(talk, "RCPT TO:<c@example.test>", "250");
}

static void
only_in_sequence(void **state)
{
	struct talk talk;

	(void)state;
	talk_begin(&talk, &smtp);
	talk_must(&talk, "EHLO x", "250");
	talk_expect(&talk, "no mail", "DATA", "503 5.5.1 MAIL first (#5.5.1)");
	talk_must(&talk, "MAIL FROM:<a@b.example>", "250");
	talk_expect(&talk, "no rcpt", "DATA", "503 5.5.1 RCPT first (#5.5.1)");
	talk_must(&talk, "RCPT TO:<c@example.test>", "250");
	talk_input(&talk, "x", 1);
	talk_must(&talk, "BDAT 1", "250");
	/* RFC 3030 2 */
	talk_expect(&talk, "chunk", "DATA",
	    "503 5.5.1 bad sequence of commands (#5.5.1)");
	assert_int_equal(talk.session.errors, 3);
	assert_true(talk.session.transaction.is_open);
	talk_end(&talk);
}

/* What ends a message, what does not, and what is left for a command. */
static void
where_data_ends(void **state)
{
	static const struct {
		const char *name, *data, *reply, *rest;
		bool is_over;
	} rows[] = {
		{ "empty", ".\r\n", ACCEPTED, "", false },
		{ "a line", "x\r\n.\r\nNOOP\r\n", ACCEPTED, "NOOP\r\n", false },
		{ "dots", "..\r\n.x\r\n...\r\n.\r\nQ", ACCEPTED, "Q", false },
		{ "cr alone", "x\r.\r\r\n.\r\n", ACCEPTED, "", false },
		{ "no end", "x\r\n", GO, "", true },
		{ "half an end", "x\r\n.", GO, "", true },
		{ "dot and cr", "x\r\n.\r", GO, "", true },
		{ "nothing", "", GO, "", true },
		{ "bare lf inside", "x\ny\r\n.\r\nNOOP\r\n", BARE_LF,
		    "NOOP\r\n", false },
		/* The client waits, so the session ends with the answer. */
		{ "bare lf end", "x\n.\n", BARE_LF, "", true },
		{ "lf, dot, crlf", "x\n.\r\n", BARE_LF, "", true },
		{ "crlf, dot, lf", "x\r\n.\n", BARE_LF, "", true },
		/* Smuggled commands are content. */
		{ "smuggling", "x\n.\nMAIL FROM:<e@f>\r\n.\r\nNOOP\r\n",
		    BARE_LF, "NOOP\r\n", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct talk talk;
		const char *reply, *rest = "";
		size_t length = 0;

		talk_begin(&talk, &smtp);
		begin_transaction(&talk);
		talk_input(&talk, rows[i].data, strlen(rows[i].data));
		reply = talk_say(&talk, "DATA");
		if (strncmp(reply, rows[i].reply, strlen(rows[i].reply)) != 0 ||
		    (strcmp(rows[i].reply, GO) == 0 && strcmp(reply, GO) != 0))
			fail_msg("%s: got '%s', wanted '%s'", rows[i].name,
			    reply, rows[i].reply);
		if (talk.session.is_over != rows[i].is_over)
			fail_msg("%s: is it over?", rows[i].name);
		if (stream_has_input(talk.session.stream))
			stream_peek(talk.session.stream, &rest, &length);
		if (length != strlen(rows[i].rest) ||
		    memcmp(rest, rows[i].rest, length) != 0)
			fail_msg("%s: left '%.*s', wanted '%s'", rows[i].name,
			    (int)length, rest, rows[i].rest);
		talk_end(&talk);
	}
}

static void
who_goes_away_is_logged(void **state)
{
	struct talk talk;

	(void)state;
	talk_begin(&talk, &smtp);
	begin_transaction(&talk);
	talk_input(&talk, "x\r\n", 3);
	talk_must(&talk, "DATA", GO);
	assert_string_equal(talk.logged.data,
	    "qmail-smtpd: pid 7 from 192.0.2.1 client went away inside a "
	    "transaction\n");
	talk_end(&talk);
}

/* Bare LFs that are allowed are content, and end nothing. */
static void
allowed_bare_lf(void **state)
{
	static const char data[] = "x\n.\n.\r\ny\r\n.\r\nNOOP\r\n";
	struct talk talk;
	const char *rest;
	size_t length;

	(void)state;
	talk_begin(&talk, &smtp);
	vars_set(&talk.vars, "ALLOW_BARELF", "");
	begin_transaction(&talk);
	talk_input(&talk, data, strlen(data));
	talk_must(&talk, "DATA", ACCEPTED);
	assert_int_equal(
	    stream_peek(talk.session.stream, &rest, &length), STREAM_OK);
	assert_int_equal(length, 6);
	talk_end(&talk);
	talk_begin(&talk, &smtp);
	vars_set(&talk.vars, "ALLOW_BARELF", "");
	begin_transaction(&talk);
	talk_input(&talk, "x\n.\n", 4);
	assert_string_equal(talk_say(&talk, "DATA"), GO);
	talk_end(&talk);
}

/* A queue that fails before 354: the client keeps its message. */
static void
no_queue_is_temporary(void **state)
{
	struct talk talk;

	(void)state;
	/* With such rules no queue is asked at RCPT. */
	smtp_home_write(root, "control/domainqueue", "none.example:X=y\n");
	talk_begin(&talk, &smtp);
	begin_transaction(&talk);
	vars_set(&talk.vars, "QMAILQUEUE", "/nonexistent");
	vars_set(smtp_transaction_own_vars(&talk.session), "QMAILQUEUE",
	    "/nonexistent");
	vars_set(smtp_transaction_own_vars(&talk.session), "NULLQUEUE", NULL);
	talk_must(&talk, "DATA", "451 4.3.0 qq ");
	assert_false(talk.session.transaction.is_open);
	assert_false(talk.session.is_over);
	assert_int_equal(talk.session.errors, 0);
	talk_end(&talk);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TALK_TEST(only_in_sequence),
		TALK_TEST(where_data_ends),
		TALK_TEST(who_goes_away_is_logged),
		TALK_TEST(allowed_bare_lf),
		TALK_TEST(no_queue_is_temporary),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
