/* SPDX-License-Identifier: ISC */
/* Tests of queue/bounce.c; test_53_queue_bounce.py parses whole reports. */
#include "queue/bounce.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/mailbox_text.h"

static struct bounce
make_bounce(const char *notes, const char *original)
{
	return (struct bounce){ .host = "me.test",
		.from = "MAILER-DAEMON@me.test",
		.to = "s@x",
		.subject = "failure notice",
		.boundary = "bound",
		.notes = notes,
		.sender = "s@x",
		.now = 86400,
		.qp = 5,
		.original = original,
		.original_length = strlen(original) };
}

static void
expect(const struct bounce *bounce, const char *const *wanted, size_t count)
{
	struct buf buf = BUF_INIT;
	const char *at;

	bounce_format(&buf, bounce);
	assert_int_equal(strlen(buf.data), buf.length);
	at = buf.data;
	/* In this order. */
	for (size_t i = 0; i < count; i++) {
		const char *found = strstr(at, wanted[i]);

		if (found == NULL)
			fail_msg("'%s' is not in, or before: %s", wanted[i],
			    buf.data);
		at = found + 1;
	}
	for (at = buf.data; *at != '\0'; at++)
		assert_int_not_equal(*at, '\r');
	buf_release(&buf);
}

/* A sender with a line end makes no header field of its own. */
static void
one_line(void **state)
{
	static const char *const wanted[] = {
		"\nTo: <\"s@x_Bcc: <y\"@z>\nSubject:",
		"\nReturn-Path: <\"s@x_Bcc: <y\"@z>\n",
	};
	struct bounce bounce = make_bounce("<a@b>:\nno\n\n", "x\n");

	(void)state;
	bounce.to = bounce.sender = "s@x\nBcc: <y@z";
	expect(&bounce, wanted, 2);
}

/* RFC 5321 4.1.2: an envelope's local part may need quotes in a message. */
static void
quoted_local_parts(void **state)
{
	static const char *const wanted[] = {
		"\nTo: <\"the sender\"@x>\n",
		"\n<\"a \\\"b\\\" @\"@c>:\nno\n\n",
		"\nFinal-Recipient: rfc822; \"a \\\"b\\\" @\"@c\n",
		"\nFinal-Recipient: rfc822; \"old note\"@c\n",
		"\nFinal-Recipient: rfc822; dot.string@c\n",
		"\nReturn-Path: <\"the sender\"@x>\n",
	};
	struct buf notes = BUF_INIT;
	struct bounce bounce;

	(void)state;
	buf_addc(&notes, '<');
	mailbox_put_quoted(&notes, "a \"b\" @@c");
	buf_adds(
	    &notes, ">:\nno\n\n<old note@c>:\nno\n\n<dot.string@c>:\nno\n\n");
	bounce = make_bounce(notes.data, "x\n");
	bounce.to = bounce.sender = "the sender@x";
	expect(&bounce, wanted, sizeof(wanted) / sizeof(wanted[0]));
	buf_release(&notes);
}

static void
form(void **state)
{
	static const char *const wanted[] = {
		"Received: (qmail 5 invoked for bounce); "
		"Fri, 02 Jan 1970 00:00:00 +0000\n",
		"From: <MAILER-DAEMON@me.test>\nTo: <s@x>\n"
		"Subject: failure notice\n",
		"\n\n--bound\n",
		"\n\nHi. This is the qmail-send program at me.test.\n"
		"I'm afraid I wasn't able to deliver your message to the "
		"following addresses.\n",
		"\n\n<a@b>:\nno such user (#5.1.1)\n\n",
		"--- Below this line is a copy of the message.\n",
		"\n--bound\nContent-Type: message/delivery-status\n\n"
		"Reporting-MTA: dns; me.test\n",
		"\n\nFinal-Recipient: rfc822; a@b\nAction: failed\n"
		"Status: 5.1.1\n",
		"\n--bound\nContent-Type: message/rfc822\n\n"
		"Return-Path: <s@x>\nSubject: x\n\nbody\n",
		"\n--bound--\n",
	};
	struct bounce bounce = make_bounce(
	    "<a@b>:\nno such user (#5.1.1)\n\n", "Subject: x\n\nbody\n");

	(void)state;
	expect(&bounce, wanted, sizeof(wanted) / sizeof(wanted[0]));
}

static void
status_of_texts(void **state)
{
	static const struct {
		const char *text, *wanted;
	} rows[] = {
		{ "no (#5.1.1)\n", "Status: 5.1.1\n" },
		{ "over quota (#5.2.2)\nmore\n", "Status: 5.2.2\n" },
		{ "no code\n", "Status: 5.0.0\n" },
		{ "was temporary (#4.3.0)\n", "Status: 5.0.0\n" },
		{ "(#5.\n", "Status: 5.0.0\n" },
		{ "(#5.1.1", "Status: 5.0.0\n" },
		{ "(#5.123456789.123456789)\n", "Status: 5.0.0\n" },
		{ "(#4.4.1) (#5.7.1)\n", "Status: 5.7.1\n" },
		{ "", "Status: 5.0.0\n" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf notes = BUF_INIT;
		struct bounce bounce;

		buf_addf(&notes, "<a@b>:\n%s\n", rows[i].text);
		bounce = make_bounce(notes.data, "");
		expect(&bounce, &rows[i].wanted, 1);
		buf_release(&notes);
	}
}

static void
cut_and_double(void **state)
{
	static const char *const cut[] = {
		"--- Below this line is the header of the message.\n",
		"\nContent-Type: text/rfc822-headers\n",
		"\nReturn-Path: <s@x>\nSubject: x\n\n--bound--\n",
	};
	static const char *const twice[] = {
		"Hi. This is the qmail-send program at me.test.\n",
		"but the bounce bounced!",
		"Return-Path: <>\n",
	};
	struct bounce bounce = make_bounce(
	    "<a@b>:\nno\n\n", "Subject: x\n\nbody\n");

	(void)state;
	bounce.is_cut = true;
	expect(&bounce, cut, 3);
	bounce.is_cut = false;
	bounce.is_double = true;
	bounce.sender = "";
	expect(&bounce, twice, 3);
}

static void
put(struct buf *notes, enum bounce_action action, const char *address,
    const char *text, const char *orcpt)
{
	bounce_put_note(notes,
	    &(struct bounce_note){ .action = action,
		.address = address,
		.text = text,
		.at = 86400,
		.orcpt = orcpt,
		.orcpt_length = orcpt == NULL ? 0 : strlen(orcpt) });
}

/* RFC 3464: what became of each, and what RFC 3461 adds. */
static void
all_actions(void **state)
{
	static const char *const wanted[] = {
		"<f@b>:\nno (#5.1.1)\n\n",
		"<d@b>:\nlater (#4.4.1)\n\n",
		"\n    k@b\n\n",
		"\n    r@b\n\n",
		"--- Below this line is",
		"\n\nOriginal-Envelope-Id: QQ 1\nReporting-MTA: dns; me.test\n",
		"\n\nOriginal-Recipient: rfc822; F+x@b\n"
		"Final-Recipient: rfc822; f@b\nAction: failed\nStatus: 5.1.1\n"
		"Diagnostic-Code: X-mqmail; no (#5.1.1)\n"
		"Last-Attempt-Date: Fri, 02 Jan 1970 00:00:00 +0000\n",
		"\n\nFinal-Recipient: rfc822; d@b\nAction: delayed\n"
		"Status: 4.4.1\n",
		"\nWill-Retry-Until: Sat, 03 Jan 1970 00:00:00 +0000\n",
		"\n\nFinal-Recipient: rfc822; k@b\nAction: delivered\n"
		"Status: 2.0.0\nLast-Attempt-Date: ",
		"\n\nFinal-Recipient: rfc822; r@b\nAction: relayed\n",
	};
	struct buf notes = BUF_INIT;
	struct bounce bounce;

	(void)state;
	put(&notes, BOUNCE_DELIVERED, "k@b", "", NULL);
	put(&notes, BOUNCE_RELAYED, "r@b", "", NULL);
	assert_false(bounce_has_failure(notes.data));
	buf_reset(&notes);
	put(&notes, BOUNCE_FAILED, "f@b", "no (#5.1.1)\n", "rfc822;F+2Bx@b");
	put(&notes, BOUNCE_DELAYED, "d@b", "later (#4.4.1)\n", NULL);
	put(&notes, BOUNCE_DELIVERED, "k@b", "", NULL);
	put(&notes, BOUNCE_RELAYED, "r@b", "", NULL);
	assert_true(bounce_has_failure(notes.data));
	bounce = make_bounce(notes.data, "x\n");
	bounce.envid = "QQ+201";
	bounce.envid_length = strlen(bounce.envid);
	bounce.expires_at = 2 * 86400;
	expect(&bounce, wanted, sizeof(wanted) / sizeof(wanted[0]));
	buf_release(&notes);
}

/* A host's words make neither a paragraph nor our own line of one. */
static void
texts_that_would_be_notes(void **state)
{
	static const char text[] = "said\n\n<other@x>:\nDSN: delivered 1\n\n";
	static const char *const wanted[] = {
		"\nFinal-Recipient: rfc822; a@b\nAction: failed\n",
		"Diagnostic-Code: X-mqmail; said <other@x>: DSN: delivered 1\n"
		"Last-Attempt-Date: Fri, 02 Jan 1970",
	};
	struct buf notes = BUF_INIT, report = BUF_INIT;
	struct bounce bounce;

	(void)state;
	put(&notes, BOUNCE_FAILED, "a@b", text, NULL);
	bounce = make_bounce(notes.data, "x\n");
	expect(&bounce, wanted, 2);
	bounce_format(&report, &bounce);
	assert_null(strstr(report.data, "Final-Recipient: rfc822; other@x"));
	assert_null(strstr(report.data, "Action: delivered"));
	buf_release(&notes);
	buf_release(&report);
}

/* qmail-remote's texts name the host and have its reply. */
static void
remote_replies(void **state)
{
	static const struct {
		const char *text, *wanted[3];
	} rows[] = {
		{ "192.0.2.1 does not like recipient.\nRemote host said: 550 "
		  "5.1.1 no such user\nGiving up on 192.0.2.1.\n",
		    { "Status: 5.1.1\n", "Remote-MTA: dns; [192.0.2.1]\n",
			"Diagnostic-Code: smtp; 550 5.1.1 no such user\n" } },
		{ "Remote host said: 554 no\nmore\nGiving up on "
		  "mx.example.org.\n",
		    { "Status: 5.0.0\n", "Remote-MTA: dns; mx.example.org\n",
			"Diagnostic-Code: smtp; 554 no more\n" } },
		{ "Remote host said: 451 4.7.1 later\nI'm not going to try "
		  "again; this message has been in the queue too long.\n",
		    { "Status: 5.4.7\n", "Diagnostic-Code: smtp; 451", "" } },
		{ "192.0.2.1 does not like recipient.\nRemote host said: 550 "
		  "no\n",
		    { "Status: 5.0.0\n", "Remote-MTA: dns; [192.0.2.1]\n",
			"Diagnostic-Code: smtp; 550 no\n" } },
		{ "Connected to 2001:db8::1 but sender was rejected.\n"
		  "Remote host said: 550 5.7.1 no\n",
		    { "Status: 5.7.1\n", "Remote-MTA: dns; [2001:db8::1]\n",
			"Diagnostic-Code: smtp; 550 5.7.1 no\n" } },
		{ "Somebody says:\nRemote host said: 550 5.7.1 no\n",
		    { "Final-Recipient: rfc822; a@b\nAction: failed\n"
		      "Status: 5.7.1\nDiagnostic-Code: ",
			"", "" } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf notes = BUF_INIT;
		struct bounce bounce;

		put(&notes, BOUNCE_FAILED, "a@b", rows[i].text, NULL);
		bounce = make_bounce(notes.data, "x\n");
		expect(&bounce, rows[i].wanted, 3);
		buf_release(&notes);
	}
}

/* RFC 6533, 6532: each part has its type by what is in it. */
static void
global_types(void **state)
{
	static const struct {
		const char *address, *original;
		bool is_cut;
		const char *wanted[3];
	} rows[] = {
		{ "a@b", "x: y\n\n\303\244\n", false,
		    { "report-type=delivery-status;",
			"\nContent-Type: message/delivery-status\n\n",
			"\nContent-Type: message/rfc822\n"
			"Content-Transfer-Encoding: 8bit\n\n" } },
		{ "\303\244@b", "x: y\n\nz\n", false,
		    { "report-type=global-delivery-status;",
			"\nContent-Type: message/global-delivery-status\n"
			"Content-Transfer-Encoding: 8bit\n\n",
			"\nContent-Type: message/rfc822\n\nReturn-Path" } },
		{ "a@b", "x: \303\244\n\nz\n", false,
		    { "report-type=delivery-status;",
			"\nContent-Type: message/global\n",
			"\nx: \303\244\n\nz\n\n--bound--\n" } },
		{ "a@b", "x: \303\244\n\nz\n", true,
		    { "report-type=delivery-status;",
			"\nContent-Type: message/global-headers\n",
			"\nx: \303\244\n\n--bound--\n" } },
		{ "a@b", "x: \344\n\nz\n", true,
		    { "report-type=delivery-status;",
			"\nContent-Type: text/rfc822-headers\n"
			"Content-Transfer-Encoding: 8bit\n\n",
			"\nx: \344\n\n--bound--\n" } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf notes = BUF_INIT;
		struct bounce bounce;

		put(&notes, BOUNCE_FAILED, rows[i].address, "no\n", NULL);
		bounce = make_bounce(notes.data, rows[i].original);
		bounce.is_cut = rows[i].is_cut;
		expect(&bounce, rows[i].wanted, 3);
		buf_release(&notes);
	}
}

/* Fields are UTF-8, whatever a text is. */
static void
bytes_that_are_no_utf8(void **state)
{
	static const char *const wanted[] = {
		"Diagnostic-Code: X-mqmail; a?b \303\244 ?\n"
	};
	struct bounce bounce = make_bounce(
	    "<a@b>:\na\344b \303\244 \303\n\n", "x\n");

	(void)state;
	expect(&bounce, wanted, 1);
}

static void
own_words(void **state)
{
	static const char *const wanted[] = {
		"Hi. This is the qmail-send program at me.test.\n"
		"Call us.\n\n<a@b>:\nno\n\n--- Below",
	};
	struct bounce bounce = make_bounce("<a@b>:\nno\n\n", "x\n");

	(void)state;
	bounce.explanation = "Call us.\n";
	expect(&bounce, wanted, 1);
}

/* A message without a header has none to be shown; its body is not. */
static void
no_header(void **state)
{
	struct bounce bounce = make_bounce("<a@b>:\nno\n\n", "\nsecret\n\n");
	struct buf buf = BUF_INIT;

	(void)state;
	bounce.is_cut = true;
	bounce_format(&buf, &bounce);
	assert_null(strstr(buf.data, "secret"));
	buf_release(&buf);
}

/* Every failure has its group; control characters make no lines. */
static void
several(void **state)
{
	static const char *const wanted[] = {
		"Final-Recipient: rfc822; a@b\n",
		"Final-Recipient: rfc822; \"c_d\"@e\n",
		"Diagnostic-Code: X-mqmail; two lines\n",
		"Final-Recipient: utf-8; \xc3\xa4@b\n",
	};
	struct bounce bounce = make_bounce(
	    "<a@b>:\nno\n\n"
	    "<c\td@e>:\ntwo\nlines\n\n<\xc3\xa4@b>:\nno\n\n",
	    "x");

	(void)state;
	expect(&bounce, wanted, 4);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(form),
		cmocka_unit_test(one_line),
		cmocka_unit_test(quoted_local_parts),
		cmocka_unit_test(status_of_texts),
		cmocka_unit_test(cut_and_double),
		cmocka_unit_test(several),
		cmocka_unit_test(all_actions),
		cmocka_unit_test(texts_that_would_be_notes),
		cmocka_unit_test(remote_replies),
		cmocka_unit_test(global_types),
		cmocka_unit_test(bytes_that_are_no_utf8),
		cmocka_unit_test(own_words),
		cmocka_unit_test(no_header),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
