/* SPDX-License-Identifier: ISC */
/* Tests of remote/body.c. */
#include "remote/body.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"

static const struct {
	const char *name, *stored, *dotted, *chunk;
	bool has_cr, is_8bit;
} cases[] = {
	{ "nothing", "", "", "", false, false },
	{ "line", "a\n", "a\r\n", "a\r\n", false, false },
	{ "no end", "a", "a\r\n", "a\r\n", false, false },
	{ "empty lines", "\n\n", "\r\n\r\n", "\r\n\r\n", false, false },
	{ "dots", ".\n..\n.a\nb.\n.", "..\r\n...\r\n..a\r\nb.\r\n..\r\n",
	    ".\r\n..\r\n.a\r\nb.\r\n.\r\n", false, false },
	{ "CRLF", "a\r\nb\r\n", "a\r\nb\r\n", "a\r\nb\r\n", true, false },
	{ "CR", "a\rb\n\r\r\n\r", "a b\r\n \r\n\r\n", "a b\r\n \r\n\r\n", true,
	    false },
	{ "CR before a dot", "a\r.\r\nb\n", "a .\r\nb\r\n", "a .\r\nb\r\n",
	    true, false },
	{ "CRLF around a dot", "a\r\n.\r\n", "a\r\n..\r\n", "a\r\n.\r\n", true,
	    false },
	{ "8 bits", "a\nb12345678\xc3\xa4", "a\r\nb12345678\xc3\xa4\r\n",
	    "a\r\nb12345678\xc3\xa4\r\n", false, true },
};

static void
put_piece(void *context, const char *data, size_t length)
{
	body_put(context, data, length);
}

/* However it is cut into pieces. */
static void
check_written(size_t i, bool is_dotted, const char *wanted)
{
	size_t length = strlen(cases[i].stored), piece, at;

	for (piece = 1; piece <= length + 1; piece++) {
		struct buf out = BUF_INIT;
		struct body_writer writer = { .is_dotted = is_dotted,
			.has_cr = cases[i].has_cr,
			.out = &out };

		buf_adds(&out, "");
		for (at = 0; at < length; at += piece)
			body_put(&writer, cases[i].stored + at,
			    length - at < piece ? length - at : piece);
		body_finish(&writer);
		if (strcmp(out.data, wanted) != 0)
			fail_msg("%s in pieces of %zu: '%s'", cases[i].name,
			    piece, out.data);
		buf_release(&out);
	}
}

static void
test_write(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		check_written(i, true, cases[i].dotted);
		check_written(i, false, cases[i].chunk);
	}
}

static void
test_examine(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t length = strlen(cases[i].stored);
		struct session_message message = { .header = "",
			.body = cases[i].stored,
			.size_bytes = length };
		struct body_facts facts;

		assert_int_equal(body_examine(&message, &facts), 0);
		if (facts.has_cr != cases[i].has_cr ||
		    facts.is_8bit != cases[i].is_8bit ||
		    facts.sent_bytes < strlen(cases[i].chunk) ||
		    (!facts.has_cr &&
			facts.sent_bytes != strlen(cases[i].chunk)))
			fail_msg("%s: %llu", cases[i].name,
			    (unsigned long long)facts.sent_bytes);
	}
}

/* Header and file, to the committed size and no further. */
static void
test_read(void **state)
{
	struct session_message message = { .header = "X: y\n",
		.size_bytes = 6,
		.fd = memfd_create("body", MFD_CLOEXEC) };
	struct buf out = BUF_INIT;
	struct body_writer writer = { .is_dotted = true, .out = &out };

	(void)state;
	assert_int_equal(file_write_all(message.fd, "a\n.b\nc\n", 7), 0);
	assert_int_equal(body_read(&message, put_piece, &writer), 0);
	body_finish(&writer);
	assert_string_equal(out.data, "X: y\r\na\r\n..b\r\nc\r\n");
	message.size_bytes = 8;
	assert_int_equal(body_read(&message, put_piece, &writer), -1);
	buf_release(&out);
	close(message.fd);
}

static void
test_cluster_hops(void **state)
{
	static const struct {
		const char *body;
		unsigned wanted;
	} rows[] = {
		{ "", 0 },
		{ "Received: from a\n", 0 },
		{ "Received: from a\n  (cluster hop 1)\n  id x\n\nx", 1 },
		{ "Received: from a\n  by b\n  (cluster hop 12)\n", 12 },
		/* not in the field that the message begins with */
		{ "Received: from a\nX: y\n  (cluster hop 1)\n", 0 },
		{ "X: y\n  (cluster hop 1)\n", 0 },
		{ "\n  (cluster hop 1)\n", 0 },
		/* not as it is written */
		{ "Received: from a\n (cluster hop 1)\n", 0 },
		{ "Received: from a (cluster hop 1)\n", 0 },
		{ "Received: from a\n  (cluster hop x)\n", 0 },
		{ "Received: from a\n  (cluster hop 99999999)\n", 0 },
		{ "Received: from a\n  (cluster hop ", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct session_message message = { .header =
			"Received: x\n  (cluster hop 7)\n",
			.body = rows[i].body,
			.size_bytes = strlen(rows[i].body),
			.fd = memfd_create("body", MFD_CLOEXEC) };

		if (body_cluster_hops(&message) != rows[i].wanted)
			fail_msg("'%s'", rows[i].body);
		file_write_all(
		    message.fd, message.body, (size_t)message.size_bytes);
		message.body = NULL;
		if (body_cluster_hops(&message) != rows[i].wanted)
			fail_msg("file '%s'", rows[i].body);
		close(message.fd);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_write),
		cmocka_unit_test(test_examine),
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_cluster_hops),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
