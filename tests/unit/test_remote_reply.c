/* SPDX-License-Identifier: ISC */
/* Tests of remote/reply.c: replies, and what they mean. */
#include "remote/reply.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/file.h"

static void
add_line(const char *line, void *context)
{
	buf_addf(context, "%s|", line);
}

static void
test_read(void **state)
{
	static const struct {
		const char *sent;
		enum reply_result result;
		int code;
		const char *status, *text, *lines;
	} cases[] = {
		{ "250 ok\r\n", REPLY_OK, 250, "", "250 ok", "ok|" },
		{ "250 ok\n", REPLY_OK, 250, "", "250 ok", "ok|" },
		{ "250\r\n", REPLY_OK, 250, "", "250", "" },
		{ "250 \r\n", REPLY_OK, 250, "", "250", "" },
		{ "250-a\r\n250-b\r\n250 c\r\n", REPLY_OK, 250, "",
		    "250-a\n250-b\n250 c", "a|b|c|" },
		{ "550-5.1.1 a\r\n550 5.7.1 b\r\n", REPLY_OK, 550, "5.1.1",
		    "550-5.1.1 a\n550 5.7.1 b", "5.1.1 a|5.7.1 b|" },
		{ "550 5.1.1\r\n", REPLY_OK, 550, "5.1.1", "550 5.1.1",
		    "5.1.1|" },
		{ "550 4.1.1 a\r\n", REPLY_OK, 550, "", "550 4.1.1 a",
		    "4.1.1 a|" },
		{ "550 5.1 a\r\n", REPLY_OK, 550, "", "550 5.1 a", "5.1 a|" },
		{ "550 5.1.1a\r\n", REPLY_OK, 550, "", "550 5.1.1a",
		    "5.1.1a|" },
		{ "550 5.1234.1 a\r\n", REPLY_OK, 550, "", "550 5.1234.1 a",
		    "5.1234.1 a|" },
		{ "550 5.123.456 a\r\n", REPLY_OK, 550, "5.123.456",
		    "550 5.123.456 a", "5.123.456 a|" },
		{ "250 a\x1b\x80\tb\r\n", REPLY_OK, 250, "", "250 a   b",
		    "a   b|" },
		/* the last line's code counts */
		{ "250-a\r\n550 b\r\n", REPLY_OK, 550, "", "250-a\n550 b",
		    "a|b|" },
		{ "hello\r\n", REPLY_GARBAGE, 0, "", "hello", "" },
		{ "199 x\r\n", REPLY_GARBAGE, 0, "", "199 x", "" },
		{ "600 x\r\n", REPLY_GARBAGE, 0, "", "600 x", "" },
		{ "250x\r\n", REPLY_GARBAGE, 0, "", "250x", "" },
		{ "25\r\n", REPLY_GARBAGE, 0, "", "25", "" },
		{ "\r\n", REPLY_GARBAGE, 0, "", "", "" },
		{ "250-a\r\nnothing\r\n", REPLY_GARBAGE, 0, "",
		    "250-a\nnothing", "a|" },
		{ "", REPLY_CLOSED, 0, "", "", "" },
		{ "250 ok", REPLY_CLOSED, 0, "", "", "" },
		{ "250-ok\r\n", REPLY_CLOSED, 0, "", "250-ok", "ok|" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf lines = BUF_INIT;
		struct stream *stream;
		struct reply reply;
		enum reply_result result;
		int fds[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
		stream = stream_new(fds[0], fds[0]);
		assert_int_equal(file_write_all(fds[1], cases[i].sent,
				     strlen(cases[i].sent)),
		    0);
		close(fds[1]);
		buf_adds(&lines, "");
		result = reply_read(stream, &reply, add_line, &lines);
		if (result != cases[i].result || reply.code != cases[i].code ||
		    strcmp(reply.status, cases[i].status) != 0 ||
		    strcmp(reply.text, cases[i].text) != 0 ||
		    strcmp(lines.data, cases[i].lines) != 0)
			fail_msg("'%s': %d, %d, '%s', '%s', '%s'",
			    cases[i].sent, result, reply.code, reply.status,
			    reply.text, lines.data);
		buf_release(&lines);
		stream_free(&stream);
		close(fds[0]);
	}
}

/* A long reply is read to its end, and as much kept as there is room for. */
static void
test_bounds(void **state)
{
	char line[1003];
	struct stream *stream;
	struct reply reply;
	int fds[2], i;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	stream = stream_new(fds[0], fds[0]);
	memset(line, 'x', sizeof(line));
	memcpy(line, "250-", 4);
	memcpy(line + sizeof(line) - 2, "\r\n", 2);
	for (i = 0; i < 5; i++)
		assert_int_equal(file_write_all(fds[1], line, sizeof(line)), 0);
	assert_int_equal(file_write_all(fds[1], "250 e\r\n354 go\r\n", 15), 0);
	assert_int_equal(reply_read(stream, &reply, NULL, NULL), REPLY_OK);
	assert_int_equal(reply.code, 250);
	assert_int_equal(strlen(reply.text), REPLY_TEXT_SIZE - 1);
	assert_int_equal(reply_read(stream, &reply, NULL, NULL), REPLY_OK);
	assert_int_equal(reply.code, 354);
	close(fds[1]);
	stream_free(&stream);
	close(fds[0]);
}

static void
test_judge(void **state)
{
	static const struct {
		int code;
		const char *status, *text;
		enum reply_class class;
		enum reply_action action;
	} cases[] = {
		{ 250, "", "250 spam is fine", REPLY_CLASS_OTHER,
		    REPLY_ACTION_NONE },
		{ 421, "4.7.28",
		    "421-4.7.28 Gmail has detected an unusual rate of "
		    "unsolicited mail originating\n421-4.7.28 from your IP "
		    "address. To protect our users from spam, mail sent\n421 "
		    "4.7.28 from your IP address has been temporarily rate "
		    "limited. gsmtp",
		    REPLY_CLASS_RATE, REPLY_ACTION_SLOWER },
		{ 550, "5.1.1",
		    "550-5.1.1 The email account that you tried to reach does "
		    "not exist. Please try\n550 5.1.1 double-checking gsmtp",
		    REPLY_CLASS_UNKNOWN_USER, REPLY_ACTION_NONE },
		{ 552, "5.2.2",
		    "552-5.2.2 The recipient's inbox is out of storage space",
		    REPLY_CLASS_MAILBOX_FULL, REPLY_ACTION_NONE },
		{ 550, "5.7.26",
		    "550-5.7.26 Your email has been blocked because the sender "
		    "is unauthenticated.",
		    REPLY_CLASS_POLICY, REPLY_ACTION_NONE },
		{ 421, "",
		    "421 RP-001 (SNT004) Unfortunately, some messages from "
		    "192.0.2.1 weren't sent.",
		    REPLY_CLASS_RATE, REPLY_ACTION_SLOWER },
		{ 550, "5.7.1",
		    "550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't "
		    "sent. Please contact your Internet service provider since "
		    "part of their network is on our block list (S3140).",
		    REPLY_CLASS_POLICY, REPLY_ACTION_SUSPEND },
		{ 451, "4.7.500",
		    "451 4.7.500 Server busy. Please try again later from "
		    "[192.0.2.1]. (S77719)",
		    REPLY_CLASS_RATE, REPLY_ACTION_SLOWER },
		{ 421, "4.7.0",
		    "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily "
		    "deferred due to unexpected volume or user complaints",
		    REPLY_CLASS_RATE, REPLY_ACTION_SLOWER },
		{ 554, "",
		    "554 delivery error: dd This user doesn't have a yahoo.com "
		    "account (a@yahoo.com) [0]",
		    REPLY_CLASS_UNKNOWN_USER, REPLY_ACTION_NONE },
		{ 450, "4.2.0",
		    "450 4.2.0 <a@b>: Recipient address rejected: Greylisted, "
		    "see http://postgrey.schweikert.ch/help/b.html",
		    REPLY_CLASS_POLICY, REPLY_ACTION_NONE },
		{ 550, "5.1.1",
		    "550 5.1.1 <a@b>: Recipient address rejected: User unknown "
		    "in local recipient table",
		    REPLY_CLASS_UNKNOWN_USER, REPLY_ACTION_NONE },
		{ 421, "4.7.0",
		    "421 4.7.0 mail.example.net Error: too many connections "
		    "from 192.0.2.1",
		    REPLY_CLASS_RATE, REPLY_ACTION_FEWER },
		{ 554, "5.7.1",
		    "554 5.7.1 Service unavailable; Client host [192.0.2.1] "
		    "blocked using zen.spamhaus.org",
		    REPLY_CLASS_POLICY, REPLY_ACTION_SUSPEND },
		{ 450, "4.7.25",
		    "450 4.7.25 Client host rejected: cannot find your "
		    "hostname, [192.0.2.1]",
		    REPLY_CLASS_DNS, REPLY_ACTION_NONE },
		{ 550, "", "550 Unrouteable address", REPLY_CLASS_UNKNOWN_USER,
		    REPLY_ACTION_NONE },
		{ 550, "", "550 sorry, no mailbox here by that name. (#5.1.1)",
		    REPLY_CLASS_UNKNOWN_USER, REPLY_ACTION_NONE },
		{ 530, "5.7.0", "530 5.7.0 Must issue a STARTTLS command first",
		    REPLY_CLASS_TLS, REPLY_ACTION_NONE },
		{ 452, "4.2.2", "452 4.2.2 Mailbox full",
		    REPLY_CLASS_MAILBOX_FULL, REPLY_ACTION_NONE },
		{ 550, "", "550 no", REPLY_CLASS_OTHER, REPLY_ACTION_NONE },
		{ 421, "", "421 bye", REPLY_CLASS_OTHER, REPLY_ACTION_FEWER },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct reply reply = { .code = cases[i].code };
		struct reply_judgement got;

		snprintf(
		    reply.status, sizeof(reply.status), "%s", cases[i].status);
		snprintf(reply.text, sizeof(reply.text), "%s", cases[i].text);
		got = reply_judge(&reply);
		if (got.class != cases[i].class ||
		    got.action != cases[i].action)
			fail_msg("'%s': %s, action %d", cases[i].text,
			    reply_class_name(got.class), got.action);
		assert_int_equal(
		    got.action != REPLY_ACTION_NONE, got.action_s > 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_judge),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
