/* SPDX-License-Identifier: ISC */
#include "smtp/body.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

struct row {
	const char *name;
	const char *input;
	const char *stored;
	int rest; /* bytes behind the end; -1: it does not end */
	bool has_bare_lf;
	bool looks_ended; /* at the end of the input */
};

static const struct row rows[] = {
	{ "empty", ".\r\n", "", 0, false, false },
	{ "one line", "a\r\n.\r\n", "a\n", 0, false, false },
	{ "pipelined", "a\r\n.\r\nQUIT\r\n", "a\n", 6, false, false },
	{ "empty lines", "\r\n\r\n.\r\n", "\n\n", 0, false, false },
	{ "stuffed", "..\r\n...a\r\n.b\r\n.\r\n", ".\n..a\nb\n", 0, false,
	    false },
	{ "dots inside", "a.\r\n .\r\n.\r\n", "a.\n .\n", 0, false, false },
	{ "no end", "a\r\n.", "a\n", -1, false, false },
	{ "no end 2", "a\r\n.\r", "a\n", -1, false, false },
	/* SMTP smuggling: none of these ends the message */
	{ "LF.LF", "a\n.\nb\r\n.\r\n", "a\n.\nb\n", 0, true, false },
	{ "LF.LF at the end", "a\n.\n", "a\n.\n", -1, true, true },
	{ "LF.CRLF", "a\n.\r\nb\r\n.\r\n", "a\n.\nb\n", 0, true, false },
	{ "LF.CRLF at the end", "a\n.\r\n", "a\n.\n", -1, true, true },
	{ "CRLF.LF", "a\r\n.\nb\r\n.\r\n", "a\n\nb\n", 0, true, false },
	{ "CRLF.LF at the end", "a\r\n.\n", "a\n\n", -1, true, true },
	{ "dot LF first", ".\nb\r\n.\r\n", "\nb\n", 0, true, false },
	{ "dot LF only", ".\n", "\n", -1, true, true },
	{ "CR.CR", "a\r.\rb\r\n.\r\n", "a\r.\rb\n", 0, false, false },
	{ "CR.CRLF", "a\r.\r\nb\r\n.\r\n", "a\r.\nb\n", 0, false, false },
	{ "CRLF.CR", "a\r\n.\rb\r\n.\r\n", "a\n\rb\n", 0, false, false },
	{ "CRLF.CRCRLF", "\r\n.\r\r\nb\r\n.\r\n", "\n\r\nb\n", 0, false,
	    false },
	{ "CRCRLF.CRLF", "a\r\r\n.\r\n", "a\r\n", 0, false, false },
	{ "LFLF.CRLF", "a\n\n.\r\nb\r\n.\r\n", "a\n\n.\nb\n", 0, true, false },
	{ "LFCR.CRLF", "a\n\r.\r\nb\r\n.\r\n", "a\n\r.\nb\n", 0, true, false },
	{ "CRLF.CRLF after LF", "a\nb\r\n.\r\n", "a\nb\n", 0, true, false },
	{ "only CRs", "\r\r\r\n.\r\n", "\r\r\n", 0, false, false },
	{ "CR at the end", "a\r", "a", -1, false, false },
	{ "a dot not first", "a\r\nb.\r\n.\r\n", "a\nb.\n", 0, false, false },
};

static void
collect(void *context, const char *data, size_t length)
{
	assert_true(length > 0);
	buf_add(context, data, length);
}

/* Feeds input in pieces that end at cut1, cut2 and the end. */
static void
run_row(const struct row *row, size_t cut1, size_t cut2)
{
	size_t length = strlen(row->input), at = 0, used, i;
	size_t ends[] = { cut1, cut2, length };
	struct smtp_body body;
	struct buf stored;
	bool has_ended = false;

	buf_init(&stored);
	smtp_body_init(&body, true, collect, &stored);
	for (i = 0; i < 3 && !has_ended; i++) {
		size_t piece = ends[i] - at;
		char *copy;

		if (piece == 0)
			continue;
		copy = xmalloc(piece);
		memcpy(copy, row->input + at, piece);
		has_ended = smtp_body_read(&body, copy, piece, &used);
		free(copy);
		at += used;
		assert_true(has_ended || at == ends[i]);
	}
	if (has_ended != (row->rest >= 0) ||
	    (has_ended && at != length - (size_t)row->rest) ||
	    strcmp(stored.data, row->stored) != 0 ||
	    body.has_bare_lf != row->has_bare_lf ||
	    (!has_ended && smtp_body_looks_ended(&body) != row->looks_ended))
		fail_msg("%s, cut at %zu and %zu: ended %d at %zu, stored "
			 "'%s', bare LF %d, looks ended %d",
		    row->name, cut1, cut2, has_ended, at, stored.data,
		    body.has_bare_lf, smtp_body_looks_ended(&body));
	buf_release(&stored);
}

/* RFC 1870 counts the CRs that are not stored. */
static void
line_ends_are_counted(void **state)
{
	static const struct {
		const char *input;
		uint64_t wanted;
	} counts[] = {
		{ ".\r\n", 0 },
		{ "\r\n.\r\n", 1 },
		{ "a\r\nb\r\n.\r\n", 2 },
		{ "..a\r\n\r\n.\r\n", 2 },
		{ "a\rb\nc\r\r\n.\r\n", 1 },
		{ "a\r\n.b\r\n", 2 },
	};
	size_t i, cut;

	(void)state;
	for (i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
		const char *input = counts[i].input;

		for (cut = 1; cut <= strlen(input); cut++) {
			struct smtp_body body;
			struct buf stored;
			size_t used;

			buf_init(&stored);
			smtp_body_init(&body, true, collect, &stored);
			smtp_body_read(&body, input, cut, &used);
			if (cut < strlen(input))
				smtp_body_read(&body, input + cut,
				    strlen(input) - cut, &used);
			buf_release(&stored);
			if (body.line_ends != counts[i].wanted)
				fail_msg("row %zu, cut at %zu: %llu", i, cut,
				    (unsigned long long)body.line_ends);
		}
	}
}

static void
every_cut(void **state)
{
	size_t i, cut1, cut2;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		for (cut1 = 0; cut1 <= strlen(rows[i].input); cut1++)
			for (cut2 = cut1; cut2 <= strlen(rows[i].input); cut2++)
				run_row(&rows[i], cut1, cut2);
}

static void
nul_bytes_and_long_lines_survive(void **state)
{
	enum { SIZE = 300000 };
	char *input = xmalloc(SIZE + 5);
	struct smtp_body body;
	struct buf stored;
	size_t used, at;
	bool has_ended = false;

	(void)state;
	for (at = 0; at < SIZE; at++)
		input[at] = at % 7 == 0 ? '\0' : at % 11 == 0 ? '\xff' : 'x';
	memcpy(input + SIZE, "\r\n.\r\n", 5);
	buf_init(&stored);
	smtp_body_init(&body, true, collect, &stored);
	for (at = 0; at < SIZE + 5; at += used) {
		size_t piece = SIZE + 5 - at;

		assert_false(has_ended);
		has_ended = smtp_body_read(
		    &body, input + at, piece > 4096 ? 4096 : piece, &used);
	}
	assert_true(has_ended);
	assert_int_equal(stored.length, SIZE + 1);
	assert_memory_equal(stored.data, input, SIZE);
	buf_release(&stored);
	free(input);
}

static void
chunks_are_not_dotted(void **state)
{
	static const struct {
		const char *pieces[3];
		const char *stored;
		bool has_bare_lf;
	} cases[] = {
		{ { "a\r\n.\r\nb", "c\r\n", NULL }, "a\n.\nbc\n", false },
		{ { "..\r", "\n..\r\n", NULL }, "..\n..\n", false },
		{ { "a\r", "b\r", NULL }, "a\rb\r", false },
		{ { "a\r", "\r", "\n" }, "a\r\n", false },
		{ { "a", "\n", NULL }, "a\n", true },
		{ { ".\r\n", ".", "\r\n" }, ".\n.\n", false },
	};
	size_t i, j, used;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct smtp_body body;
		struct buf stored;

		buf_init(&stored);
		smtp_body_init(&body, false, collect, &stored);
		for (j = 0; j < 3 && cases[i].pieces[j] != NULL; j++) {
			const char *piece = cases[i].pieces[j];

			assert_false(
			    smtp_body_read(&body, piece, strlen(piece), &used));
			assert_int_equal(used, strlen(piece));
		}
		smtp_body_finish(&body);
		assert_string_equal(stored.data, cases[i].stored);
		assert_int_equal(body.has_bare_lf, cases[i].has_bare_lf);
		buf_release(&stored);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(line_ends_are_counted),
		cmocka_unit_test(every_cut),
		cmocka_unit_test(nul_bytes_and_long_lines_survive),
		cmocka_unit_test(chunks_are_not_dotted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
