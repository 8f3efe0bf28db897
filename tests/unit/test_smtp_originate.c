/* SPDX-License-Identifier: ISC */
/* Tests of smtp/originate.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/mem.h"
#include "smtp/originate.h"

static const struct originate_options options = {
	.host = "h.test",
	.domain = "d.test",
	.from = "me@h.test",
	.id = "1-2",
	.me = "mx.test",
	.when = 1700000000,
};

#define DATE "Date: Tue, 14 Nov 2023 22:13:20 +0000\n"
#define ID "Message-ID: <1-2@mx.test>\n"
#define FROM "From: <me@h.test>\n"
#define CC "Cc: recipient list not shown: ;\n"
#define ALL DATE ID FROM CC

static void
addresses(void **state)
{
	static const char *const rows[][2] = {
		{ "", "" },
		{ " a", " a@h.test" },
		{ " a, b ,c", " a@h.test, b@h.test ,c@h.test" },
		{ " a@x.test", " a@x.test" },
		{ " a@x", " a@x.d.test" },
		{ " a @ x ", " a @ x.d.test " },
		{ " a@[192.0.2.1]", " a@[192.0.2.1]" },
		{ " <a>", " <a@h.test>" },
		{ " A B <a>, C <c@x>", " A B <a@h.test>, C <c@x.d.test>" },
		{ " \"A, B\" <a>", " \"A, B\" <a@h.test>" },
		{ " \"a b\"", " \"a b\"@h.test" },
		{ " \"a\\\"b\".c", " \"a\\\"b\".c@h.test" },
		{ " a (comment, (more) \\) b), c",
		    " a@h.test (comment, (more) \\) b), c@h.test" },
		{ " g: a, b@x.y;, c", " g: a@h.test, b@x.y;, c@h.test" },
		{ " g:;", " g:;" },
		{ " <@r,@s:a@b.c>", " <@r.d.test,@s.d.test:a@b.c>" },
		{ " <>", " <>" },
		{ " two words", " two words" },
		{ " a\n b", " a\n b" },
		{ " a,\n\tb", " a@h.test,\n\tb@h.test" },
		{ " (never closed", " (never closed" },
		{ " \"never closed", " \"never closed@h.test" },
		{ " a@", " a@" },
		{ ",,;", ",,;" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		AUTO(buf_release) struct buf buf = BUF_INIT;

		buf_adds(&buf, "");
		originate_put_addresses(
		    &buf, rows[i][0], strlen(rows[i][0]), &options);
		assert_string_equal(buf.data, rows[i][1]);
	}
}

static void
take(void *context, const char *data, size_t length)
{
	assert_true(length > 0);
	buf_add(context, data, length);
}

static void
pass(const char *text, size_t piece, struct buf *out)
{
	struct originate originate;
	size_t length = strlen(text);

	buf_reset(out);
	buf_adds(out, "");
	originate_init(&originate, &options, take, out);
	for (size_t at = 0; at < length; at += piece)
		originate_read(&originate, text + at,
		    piece < length - at ? piece : length - at);
	originate_finish(&originate);
	originate_release(&originate);
}

/* However the bytes come. */
static void
headers(void **state)
{
	static const char *const rows[][2] = {
		{ "", ALL },
		{ "\n", ALL "\n" },
		{ "\nbody\n", ALL "\nbody\n" },
		{ "no header\nX: y\n", ALL "\nno header\nX: y\n" },
		{ " blank first\n", ALL "\n blank first\n" },
		{ "Subject: x\n\nDate: body\n",
		    "Subject: x\n" ALL "\nDate: body\n" },
		{ "Subject: x", "Subject: x\n" ALL },
		{ "date : x\nMESSAGE-id: y\nfrom: a\nto: b\n\n",
		    "date : x\nMESSAGE-id: y\nfrom: a@h.test\nto: b@h.test\n"
		    "\n" },
		{ "Cc: b\nDate: x\n\n",
		    "Cc: b@h.test\nDate: x\n" ID FROM "\n" },
		{ "Bcc: a\nX: 1\nbcc: b,\n c\nResent-Bcc: d\n e\n\n",
		    "X: 1\n" ALL "\n" },
		{ "Return-Path: <x>\nContent-Length: 9\nbcc: a", ALL },
		{ "From x@y Tue\nSubject: s\n\n", "Subject: s\n" ALL "\n" },
		{ ">From x@y Tue\n\n", ALL "\n" },
		{ "X: 1\nnothing\nBcc: a\n",
		    "X: 1\n" ALL "\nnothing\nBcc: a\n" },
		{ "To: a,\n b\n\n", "To: a@h.test,\n b@h.test\n" DATE ID FROM
				     "\n" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		AUTO(buf_release) struct buf out = BUF_INIT;

		for (size_t piece = 1; piece < 50; piece += 6) {
			pass(rows[i][0], piece, &out);
			assert_string_equal(out.data, rows[i][1]);
		}
	}
}

/* What is too long to be kept is passed, or taken out. */
static void
long_fields(void **state)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	AUTO(buf_release) struct buf out = BUF_INIT;
	static const char *const names[] = { "Bcc", "To", "X" };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		buf_reset(&text);
		buf_addf(&text, "%s:", names[i]);
		while (text.length < 3 * ORIGINATE_FIELD_MAX)
			buf_adds(&text, " aaaaaaaa,\n");
		buf_adds(&text, "Subject: s\n\nb\n");
		pass(text.data, 1000, &out);
		assert_non_null(strstr(out.data, "Subject: s\n" DATE));
		assert_int_equal(strncmp(out.data, "Subject", 7) == 0, i == 0);
		if (i > 0)
			assert_true(out.length > text.length);
	}
	/* No line end in sight: it is no field. */
	buf_reset(&text);
	while (text.length < 2 * ORIGINATE_FIELD_MAX)
		buf_adds(&text, "no colon ");
	pass(text.data, 999, &out);
	assert_int_equal(strncmp(out.data, ALL "\nno", 100) < 0, 0);
	assert_int_equal(
	    out.length, strlen(ALL) + 1 + text.length);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses),
		cmocka_unit_test(headers),
		cmocka_unit_test(long_fields),
	};

	return cmocka_run_group_tests_name(
	    "smtp/originate", tests, NULL, NULL);
}
