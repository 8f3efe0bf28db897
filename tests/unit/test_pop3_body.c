/* SPDX-License-Identifier: ISC */
/* pop3/body.c: what a client gets of a message. */
#include "pop3/body.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"

/* What is sent of a file with this content; the caller frees. */
static char *
send_text(const char *text, size_t length, int64_t lines)
{
	int in = memfd_create("in", MFD_CLOEXEC);
	int out = memfd_create("out", MFD_CLOEXEC);
	struct stream *stream = stream_new(in, out);
	struct error err;
	off_t size;
	char *sent;

	assert_int_equal(pwrite(in, text, length, 0), length);
	assert_int_equal(pop3_body_send(stream, in, lines, &err), 0);
	assert_int_equal(stream_flush(stream), STREAM_OK);
	stream_free(&stream);
	size = lseek(out, 0, SEEK_END);
	sent = xcalloc(1, (size_t)size + 1);
	assert_int_equal(pread(out, sent, (size_t)size, 0), size);
	close(in);
	close(out);
	return sent;
}

static void
test_texts(void **state)
{
	static const struct {
		const char *text;
		int64_t lines;
		const char *sent;
	} rows[] = {
		{ "", POP3_ALL_LINES, ".\r\n" },
		{ "a", POP3_ALL_LINES, "a\r\n.\r\n" },
		{ "a\n", POP3_ALL_LINES, "a\r\n.\r\n" },
		{ "a\r\n", POP3_ALL_LINES, "a\r\n.\r\n" },
		{ "a\r", POP3_ALL_LINES, "a\r\n.\r\n" },
		{ "a\rb\n", POP3_ALL_LINES, "a\rb\r\n.\r\n" },
		{ "a\r\r\n", POP3_ALL_LINES, "a\r\r\n.\r\n" },
		{ ".\n", POP3_ALL_LINES, "..\r\n.\r\n" },
		{ ".", POP3_ALL_LINES, "..\r\n.\r\n" },
		{ "\n.\n..\nx.\n", POP3_ALL_LINES,
		    "\r\n..\r\n...\r\nx.\r\n.\r\n" },
		{ "A: b\n\n1\n2\n3\n", 0, "A: b\r\n\r\n.\r\n" },
		{ "A: b\n\n1\n2\n3\n", 2, "A: b\r\n\r\n1\r\n2\r\n.\r\n" },
		{ "A: b\r\n\r\n1\r\n2", 1, "A: b\r\n\r\n1\r\n.\r\n" },
		{ "A: b\n\n1\n2", 9, "A: b\r\n\r\n1\r\n2\r\n.\r\n" },
		{ "A: b\n c\n", 0, "A: b\r\n c\r\n.\r\n" },
		{ "\n\n\n", 1, "\r\n\r\n.\r\n" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *sent = send_text(
		    rows[i].text, strlen(rows[i].text), rows[i].lines);

		if (strcmp(sent, rows[i].sent) != 0)
			fail_msg("'%s', %d: '%s', not '%s'", rows[i].text,
			    (int)rows[i].lines, sent, rows[i].sent);
		free(sent);
	}
}

/* A line end, and a dot, at each place around the end of a chunk. */
static void
test_ends_of_chunks(void **state)
{
	enum { CHUNK = 32 * 1024, AROUND = 4 };
	static char text[CHUNK + 100];

	(void)state;
	for (size_t at = CHUNK - AROUND; at < CHUNK + AROUND; at++) {
		char *sent;

		memset(text, 'x', sizeof(text));
		memcpy(text + at, "\r\n.\n", 4);
		sent = send_text(text, sizeof(text), POP3_ALL_LINES);
		assert_memory_equal(sent + at, "\r\n..\r\nx", 7);
		assert_int_equal(strlen(sent), sizeof(text) + 2 + 5);
		free(sent);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_ends_of_chunks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
