/* SPDX-License-Identifier: ISC */
/* Tests of smtp/message.c, with a program in the queue's place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/smtp_talk.h"

#define BARE_LF "554 5.6.0 Sorry, I received Bare LF. (#5.6.0)"
#define TOO_LARGE \
	"552 5.3.4 sorry, that message size exceeds my databytes limit (#5.3.4)"
#define LOOPING "554 5.4.6 too many hops, this message is looping (#5.4.6)"

/* Keeps what it gets, then exits with the code in the file "exit". */
static const char program[] =
    "#!/bin/sh\ncd \"$MQMAIL_HOME\" && cat >message && cat <&1 >envelope &&\n"
    "exit $(cat exit)\n";

static void
begin(struct talk *talk, const struct smtp_kind *kind)
{
	char *path = xasprintf("%s/program", root);

	assert_int_equal(
	    file_replace(path, program, strlen(program), 0755, NULL), 0);
	smtp_home_write(root, "exit", "0\n");
	talk_begin(talk, kind);
	vars_set(&talk->vars, "NULLQUEUE", NULL);
	vars_set(&talk->vars, "QMAILQUEUE", path);
	free(path);
	talk_must(talk, kind->is_lmtp ? "LHLO x" : "EHLO x", "250");
}

/* A transaction with two recipients. */
static void
begin_transaction(struct talk *talk)
{
	talk_must(talk, "RSET", "250");
	talk_must(talk, "MAIL FROM:<a@b.example>", "250");
	talk_must(talk, "RCPT TO:<c@example.test>", "250");
	talk_must(talk, "RCPT TO:<d@example.test>", "250");
}

/* The reply behind 354, or NULL. */
static const char *
send_data(struct talk *talk, const char *text)
{
	const char *reply;

	talk_input(talk, text, strlen(text));
	reply = talk_say(talk, "DATA");
	if (strncmp(reply, "354 ", 4) != 0)
		fail_msg("DATA got '%s'", reply);
	return strstr(reply, "\r\n") + 2;
}

static void
read_stored(const char *name, struct buf *content)
{
	char *path = xasprintf("%s/%s", root, name);

	buf_reset(content);
	assert_int_equal(file_read(path, 100000, content, NULL), 1);
	free(path);
}

/* What lies behind our Received field, whose lines are three. */
static const char *
body_of(const char *message)
{
	for (int line = 0; line < 3; line++)
		message = strchr(message, '\n') + 1;
	return message;
}

static void
stores_with_a_received_line(void **state)
{
	static const char head[] = "Received: from unknown (HELO x) "
				   "(192.0.2.1)\n  by mail.example.test with "
				   "ESMTP\n  id ";
	static const char envelope[] =
	    "Fa@b.example\0Tc@example.test\0Td@example.test\0";
	const struct smtp_kind kind = { .is_lmtp = false };
	const char *reply;
	struct talk talk;
	struct uuid uuid;
	struct buf content = BUF_INIT;

	(void)state;
	begin(&talk, &kind);
	begin_transaction(&talk);
	talk.session.errors = talk.session.bad_recipients =
	    talk.session.deferred_recipients = 3;
	reply = send_data(&talk, "A: b\r\n\r\n..x\r\n\r\n.\r\n");
	if (strncmp(reply, "250 2.0.0 ok ", 13) != 0 ||
	    strstr(reply, " qp ") == NULL)
		fail_msg("got '%s'", reply);
	read_stored("message", &content);
	if (strncmp(content.data, head, strlen(head)) != 0)
		fail_msg("got '%s'", content.data);
	assert_true(uuid_parse(content.data + strlen(head), &uuid));
	assert_string_equal(body_of(content.data), "A: b\n\n.x\n\n");
	read_stored("envelope", &content);
	assert_int_equal(content.length, sizeof(envelope));
	assert_memory_equal(content.data, envelope, sizeof(envelope));
	/* One accepted message forgives what went before. */
	assert_int_equal(talk.session.errors, 0);
	assert_int_equal(talk.session.bad_recipients, 0);
	assert_int_equal(talk.session.deferred_recipients, 0);
	assert_false(talk.session.transaction.is_open);
	buf_release(&content);
	talk_end(&talk);
}

/* Whose name we bear: the listener's, the node's, or our address. */
static void
by_whom_it_was_received(void **state)
{
	static const struct {
		const char *local_host, *me, *local_ip, *wanted;
	} rows[] = {
		{ "in.example.test", "m.example.test", "192.0.2.2",
		    " by in.example.test with" },
		{ NULL, "m.example.test", "192.0.2.2",
		    " by m.example.test with" },
	};
	const struct smtp_kind kind = { .is_lmtp = false };
	struct buf content = BUF_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *me = xasprintf("%s\n", rows[i].me);
		struct talk talk;

		smtp_home_write(root, "control/me", me);
		free(me);
		begin(&talk, &kind);
		talk.peer.local_host = rows[i].local_host;
		talk.peer.local_ip = rows[i].local_ip;
		begin_transaction(&talk);
		send_data(&talk, ".\r\n");
		read_stored("message", &content);
		if (strstr(content.data, rows[i].wanted) == NULL)
			fail_msg("wanted '%s': got '%s'", rows[i].wanted,
			    content.data);
		talk_end(&talk);
	}
	buf_release(&content);
}

/* Limits count what the client sent, as RFC 1870 3 counts. */
static void
what_is_refused(void **state)
{
	static const struct {
		const char *name, *data;
		const char *reply;  /* NULL: accepted */
		const char *stored; /* behind our line, whole */
		bool allows_bare_lf;
	} rows[] = {
		{ "20 octets", "12345678\r\n12345678\r\n.\r\n", NULL,
		    "12345678\n12345678\n", false },
		{ "21 octets", "12345678\r\n123456789\r\n.\r\n", TOO_LARGE,
		    NULL, false },
		{ "21 in three", "..345678\r\n12345678\r\n\r\n.\r\n", TOO_LARGE,
		    NULL, false },
		{ "a doubled dot is one", "..2345678\r\n12345678\r\n.\r\n",
		    NULL, ".2345678\n12345678\n", false },
		{ "bare lf", "a\nb\r\n.\r\n", BARE_LF, NULL, false },
		{ "bare lf allowed", "a\nb\r\n.\r\n", NULL, "a\nb\n", true },
		{ "bare lf comes before the size",
		    "a\n12345678901234567890\r\n.\r\n", BARE_LF, NULL, false },
	};
	const struct smtp_kind kind = { .is_lmtp = false };
	struct buf content = BUF_INIT;
	struct talk talk;

	(void)state;
	smtp_home_write(root, "control/databytes", "20\n");
	begin(&talk, &kind);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *wanted = rows[i].reply != NULL ? rows[i].reply
							   : "250 2.0.0 ok ";
		const char *reply;

		vars_set(&talk.vars, "ALLOW_BARELF",
		    rows[i].allows_bare_lf ? "" : NULL);
		begin_transaction(&talk);
		reply = send_data(&talk, rows[i].data);
		if (strncmp(reply, wanted, strlen(wanted)) != 0)
			fail_msg("%s: got '%s', wanted '%s'", rows[i].name,
			    reply, wanted);
		assert_false(talk.session.transaction.is_open);
		if (rows[i].stored == NULL)
			continue;
		read_stored("message", &content);
		if (strcmp(body_of(content.data), rows[i].stored) != 0)
			fail_msg("%s: stored '%s'", rows[i].name, content.data);
	}
	buf_release(&content);
	talk_end(&talk);
}

static void
hops_have_a_limit(void **state)
{
	static const struct {
		const char *data, *reply;
	} rows[] = {
		{ "Received: a\r\nReceived: b\r\n.\r\n", "250 2.0.0 ok" },
		{ "Received: a\r\nX: b\r\n\r\nReceived: c\r\nReceived:\r\n"
		  ".\r\n",
		    "250 2.0.0 ok" },
		{ "Received: a\r\nDELIVERED-TO: b\r\nReceived: c\r\n.\r\n",
		    LOOPING },
	};
	const struct smtp_kind kind = { .is_lmtp = false };
	struct talk talk;

	(void)state;
	smtp_home_write(root, "control/maxhops", "3\n");
	begin(&talk, &kind);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *reply;

		begin_transaction(&talk);
		reply = send_data(&talk, rows[i].data);
		if (strncmp(reply, rows[i].reply, strlen(rows[i].reply)) != 0)
			fail_msg("row %zu: got '%s', wanted '%s'", i, reply,
			    rows[i].reply);
	}
	assert_non_null(strstr(talk.logged.data, "too many hops: MAIL from "));
	talk_end(&talk);
}

static size_t
count_lines(const char *reply, const char *begin_text)
{
	size_t count = 0;

	for (; *reply != '\0'; reply = strstr(reply, "\r\n") + 2)
		if (strncmp(reply, begin_text, strlen(begin_text)) == 0)
			count++;
		else
			fail_msg("got '%s', wanted '%s'", reply, begin_text);
	return count;
}

/* RFC 2033 4.2: to LMTP's end of data one reply for each recipient. */
static void
what_the_queue_says(void **state)
{
	static const struct {
		const char *name, *exit, *data, *reply;
	} rows[] = {
		{ "fine", "0\n", "x\r\n.\r\n", "250 2.0.0 ok " },
		{ "rejected", "31\n", "x\r\n.\r\n",
		    "554 5.3.0 qq mail server permanently rejected message "
		    "(#5.3.0)" },
		{ "disk full", "53\n", "x\r\n.\r\n",
		    "452 4.3.0 qq write error or disk full (#4.3.0)" },
		{ "out of memory", "51\n", "x\r\n.\r\n",
		    "452 4.3.0 qq out of memory (#4.3.0)" },
		{ "trouble", "65\n", "x\r\n.\r\n",
		    "451 4.3.0 qq trouble creating files in intd. (#4.3.0)" },
		{ "not known", "99\n", "x\r\n.\r\n",
		    "451 4.3.0 qq temporary problem (#4.3.0)" },
		{ "bare lf", "0\n", "x\n\r\n.\r\n", BARE_LF },
	};

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(rows) / sizeof(rows[0]); i++) {
		const struct smtp_kind kind = { .is_lmtp = i % 2 == 1 };
		struct talk talk;
		const char *reply;

		begin(&talk, &kind);
		smtp_home_write(root, "exit", rows[i / 2].exit);
		begin_transaction(&talk);
		reply = send_data(&talk, rows[i / 2].data);
		if (count_lines(reply, rows[i / 2].reply) != i % 2 + 1)
			fail_msg("%s: got '%s'", rows[i / 2].name, reply);
		talk_end(&talk);
	}
}

/* Memory that is used up defers, and is free again afterwards. */
static void
messages_need_memory(void **state)
{
	const struct smtp_kind kind = { .is_lmtp = false };
	struct talk talk;
	uint64_t taken = 0;

	(void)state;
	begin(&talk, &kind);
	begin_transaction(&talk);
	while (smtp_server_take_memory(talk.server, SMTP_MESSAGE_BYTES))
		taken += SMTP_MESSAGE_BYTES;
	talk_expect(&talk, "none left", "DATA",
	    "452 4.3.1 sorry, I am short of memory, try again later (#4.3.1)");
	assert_non_null(strstr(talk.logged.data, "out of memory for sessions"));
	smtp_server_give_memory(talk.server, taken);
	begin_transaction(&talk);
	if (strncmp(send_data(&talk, ".\r\n"), "250 2.0.0 ok", 12) != 0)
		fail_msg("got '%s'", talk.replies.data);
	assert_int_equal(talk.session.taken_bytes, 0);
	talk_end(&talk);
}

/* What the sink keeps of a large one is asked for as it grows. */
static void
large_messages_need_more(void **state)
{
	enum { LARGE = 3 * SMTP_SMALL_BYTES };
	static char data[LARGE + 6];
	const struct smtp_kind kind = { .is_lmtp = false };
	struct talk talk;
	uint64_t taken = 0;

	(void)state;
	for (size_t i = 0; i < LARGE; i++)
		data[i] = i % 64 == 62 ? '\r' : i % 64 == 63 ? '\n' : 'x';
	memcpy(data + LARGE, ".\r\n", 4);
	begin(&talk, &kind);
	begin_transaction(&talk);
	while (smtp_server_take_memory(talk.server, SMTP_MESSAGE_BYTES))
		taken += SMTP_MESSAGE_BYTES;
	smtp_server_give_memory(talk.server, SMTP_MESSAGE_BYTES);
	taken -= SMTP_MESSAGE_BYTES;
	if (strncmp(send_data(&talk, data), "452 4.3.1 ", 10) != 0)
		fail_msg("got '%s'", talk.replies.data);
	begin_transaction(&talk);
	if (strncmp(send_data(&talk, ".\r\n"), "250 2.0.0 ok", 12) != 0)
		fail_msg("got '%s'", talk.replies.data);
	smtp_server_give_memory(talk.server, taken);
	begin_transaction(&talk);
	if (strncmp(send_data(&talk, data), "250 2.0.0 ok", 12) != 0)
		fail_msg("got '%s'", talk.replies.data);
	talk_end(&talk);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TALK_TEST(stores_with_a_received_line),
		TALK_TEST(by_whom_it_was_received),
		TALK_TEST(what_is_refused),
		TALK_TEST(hops_have_a_limit),
		TALK_TEST(what_the_queue_says),
		TALK_TEST(messages_need_memory),
		TALK_TEST(large_messages_need_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
