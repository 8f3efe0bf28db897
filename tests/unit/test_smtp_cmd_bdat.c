/* SPDX-License-Identifier: ISC */
/* Tests of smtp/cmd_bdat.c; what is stored is in test_smtp_message.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/smtp_talk.h"

static const struct smtp_kind smtp = { .is_lmtp = false };
static const struct smtp_kind lmtp = { .is_lmtp = true };

static void
begin_transaction(struct talk *talk)
{
	talk_must(
	    talk, talk->session.kind->is_lmtp ? "LHLO x" : "EHLO x", "250");
	talk_must(talk, "MAIL FROM:<a@b.example>", "250");
	talk_must(talk, "RCPT TO:<c@example.test>", "250");
	talk_must(talk, "RCPT TO:<d@example.test>", "250");
}

/* How much of the input is still there. */
static size_t
count_left(struct talk *talk)
{
	const char *data;
	size_t length = 0;

	if (stream_peek(talk->session.stream, &data, &length) != STREAM_OK)
		return 0;
	return length;
}

#define NO_SIZE                                                             \
	"501 5.5.4 Syntax error (a chunk size is needed), goodbye (#5.5.4)" \
	"\r\n"
#define OK(size) "250 2.0.0 ok " size " octets received\r\n"
#define ACCEPTED "250 2.0.0 ok "

/* Chunk sizes; behind each command there are nine bytes. */
static void
arguments(void **state)
{
	static const struct {
		const char *argument, *reply; /* begin of it */
		size_t left;
		bool is_over, is_end;
	} rows[] = {
		{ "0", OK("0"), 9, false, false },
		{ "4", OK("4"), 5, false, false },
		{ "9", OK("9"), 0, false, false },
		{ "0009", OK("9"), 0, false, false },
		{ "4 LAST", ACCEPTED, 5, false, true },
		{ "4 last", ACCEPTED, 5, false, true },
		{ "4\t LAST", ACCEPTED, 5, false, true },
		{ "0 LAST", ACCEPTED, 9, false, true },
		{ "", NO_SIZE, 9, true, false },
		{ "LAST", NO_SIZE, 9, true, false },
		{ "-4", NO_SIZE, 9, true, false },
		{ "+4", NO_SIZE, 9, true, false },
		{ "4x", NO_SIZE, 9, true, false },
		{ "4LAST", NO_SIZE, 9, true, false },
		{ "4 LAS", NO_SIZE, 9, true, false },
		{ "4 LASTS", NO_SIZE, 9, true, false },
		{ "4 LAST x", NO_SIZE, 9, true, false },
		{ "0x4", NO_SIZE, 9, true, false },
		{ "9223372036854775808", NO_SIZE, 9, true, false },
		{ "10", "", 0, true, false }, /* the client has gone */
		{ "9223372036854775807", "", 0, true, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *command = xasprintf("BDAT %s", rows[i].argument);
		size_t length = strlen(rows[i].reply), left;
		struct talk talk;
		const char *reply;

		talk_begin(&talk, &smtp);
		begin_transaction(&talk);
		talk_input(&talk, "123456789", 9);
		reply = talk_say(&talk, command);
		if (strncmp(reply, rows[i].reply, length) != 0 ||
		    (length == 0 && *reply != '\0'))
			fail_msg("'%s': got '%s', wanted '%s'",
			    rows[i].argument, reply, rows[i].reply);
		if (talk.session.is_over != rows[i].is_over)
			fail_msg("'%s': is it over?", rows[i].argument);
		if (!rows[i].is_over &&
		    talk.session.transaction.is_open == rows[i].is_end)
			fail_msg("'%s': is it open?", rows[i].argument);
		left = count_left(&talk);
		if (left != rows[i].left)
			fail_msg(
			    "'%s': %zu bytes left", rows[i].argument, left);
		free(command);
		talk_end(&talk);
	}
}

/* A chunk that cannot be taken is read all the same: it is no commands. */
static void
out_of_sequence(void **state)
{
	struct talk talk;

	(void)state;
	talk_begin(&talk, &smtp);
	talk_input(&talk, "QUITx", 5);
	talk_expect(&talk, "no hello", "BDAT 4",
	    "503 Polite people say hello first (#5.5.1)");
	assert_int_equal(count_left(&talk), 1);
	talk_must(&talk, "EHLO x", "250");
	talk_expect(
	    &talk, "no mail", "BDAT 1", "503 5.5.1 MAIL first (#5.5.1)");
	assert_int_equal(count_left(&talk), 0);
	talk_end(&talk);

	talk_begin(&talk, &smtp);
	talk_must(&talk, "EHLO x", "250");
	talk_must(&talk, "MAIL FROM:<a@b.example>", "250");
	talk_input(&talk, "QUIT\r\n", 6);
	talk_expect(
	    &talk, "no rcpt", "BDAT 6 LAST", "503 5.5.1 RCPT first (#5.5.1)");
	assert_true(talk.session.transaction.is_open);
	assert_false(talk.session.is_over);
	assert_int_equal(talk.session.errors, 1);
	assert_int_equal(count_left(&talk), 0);
	talk_end(&talk);
}

/* RFC 2033 4.3: to the last chunk as many replies as recipients were taken. */
static void
replies_of_lmtp(void **state)
{
	const char *second;
	struct talk talk;

	(void)state;
	talk_begin(&talk, &lmtp);
	begin_transaction(&talk);
	talk_input(&talk, "123456789", 9);
	talk_expect(&talk, "first", "BDAT 4", "250 2.0.0 ok 4 octets received");
	talk_must(&talk, "BDAT 5 LAST", ACCEPTED);
	second = strstr(talk.replies.data, "\r\n") + 2;
	assert_memory_equal(second, ACCEPTED, strlen(ACCEPTED));
	second = strstr(second, "\r\n") + 2;
	assert_string_equal(second, "");
	/* None were taken: none are answered. */
	talk_must(&talk, "MAIL FROM:<a@b.example>", "250");
	talk_input(&talk, "1234", 4);
	assert_string_equal(talk_say(&talk, "BDAT 4 LAST"), "");
	assert_false(talk.session.transaction.is_open);
	talk_input(&talk, "1234", 4);
	talk_expect(
	    &talk, "not the last", "BDAT 4", "503 5.5.1 MAIL first (#5.5.1)");
	talk_end(&talk);
}

/* Dots and lines are content here, also when a chunk cuts them. */
static void
content_is_not_looked_at(void **state)
{
	struct talk talk;

	(void)state;
	talk_begin(&talk, &smtp);
	begin_transaction(&talk);
	talk_input(&talk, "x\r\n.\r\ny\r\n.", 10);
	talk_must(&talk, "BDAT 2", OK("2"));
	talk_must(&talk, "BDAT 5", OK("5"));
	talk_must(&talk, "BDAT 3", OK("3"));
	talk_must(&talk, "BDAT 0 LAST", ACCEPTED);
	talk_must(&talk, "MAIL FROM:<a@b.example>", "250");
	talk_end(&talk);
}

/* What one chunk was refused for is the answer to those behind it. */
static void
limits_hold_over_chunks(void **state)
{
	struct talk talk;

	(void)state;
	smtp_home_write(root, "control/databytes", "5\n");
	talk_begin(&talk, &smtp);
	begin_transaction(&talk);
	talk_input(&talk, "1234567890", 10);
	talk_must(&talk, "BDAT 5", OK("5"));
	talk_must(&talk, "BDAT 1", "552 5.3.4 sorry, that message size");
	talk_must(&talk, "BDAT 1", "552 5.3.4 sorry, that message size");
	assert_true(talk.session.transaction.is_open);
	assert_null(talk.session.transaction.sink);
	talk_must(&talk, "BDAT 3 LAST", "552 5.3.4 sorry, that message size");
	assert_false(talk.session.transaction.is_open);
	assert_int_equal(count_left(&talk), 0);
	assert_int_equal(talk.session.errors, 0);
	talk_end(&talk);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TALK_TEST(arguments),
		TALK_TEST(out_of_sequence),
		TALK_TEST(replies_of_lmtp),
		TALK_TEST(content_is_not_looked_at),
		TALK_TEST(limits_hold_over_chunks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
