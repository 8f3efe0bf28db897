/* SPDX-License-Identifier: ISC */
/* Tests of queue/journal_record.c. */
#include "queue/journal_record.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <endian.h>
#include <string.h>
#include <zlib.h>

#define ENVELOPE "u1\0p2\0Fs@x\0Ta@b"

enum { GENERATION = 7, TYPE_AT = 16, LENGTH_AT = 4 };

static const struct journal_record whole = { .id = 4711,
	.size_bytes = 5000000000,
	.mtime_s = 1790000000,
	.envelope = ENVELOPE,
	.length = sizeof(ENVELOPE) };
static const struct journal_record over = { .id = 4711, .is_over = true };

static void
expect_record(const struct journal_record *got,
    const struct journal_record *wanted, size_t skipped)
{
	assert_int_equal(got->id, wanted->id);
	assert_int_equal(got->is_over, wanted->is_over);
	assert_int_equal(got->skipped, skipped);
	if (wanted->is_over)
		return;
	assert_int_equal(got->size_bytes, wanted->size_bytes);
	assert_int_equal(got->mtime_s, wanted->mtime_s);
	assert_int_equal(got->length, wanted->length);
	assert_memory_equal(got->envelope, wanted->envelope, wanted->length);
}

/* Is there any record of this generation? */
static bool
has_record(const struct buf *buf, uint64_t generation)
{
	struct journal_record record;
	size_t at = 0;

	return journal_get_record(
	    buf->data, buf->length, generation, &at, &record);
}

static void
headers(void **state)
{
	static const uint64_t rows[] = { 1, 255, 256, 1ULL << 40, UINT64_MAX };
	struct buf buf = BUF_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		buf_reset(&buf);
		journal_put_header(&buf, rows[i]);
		assert_int_equal(buf.length, JOURNAL_HEADER_BYTES);
		assert_int_equal(
		    journal_get_header(buf.data, buf.length), rows[i]);
		assert_int_equal(
		    journal_get_header(buf.data, buf.length - 1), 0);
	}
	buf_release(&buf);
}

static void
damaged_headers(void **state)
{
	enum { MAGIC_GENERATION_SUM = 17 + 8 + 4 };
	struct buf buf = BUF_INIT;

	(void)state;
	journal_put_header(&buf, GENERATION);
	for (size_t i = 0; i < MAGIC_GENERATION_SUM; i++) {
		buf.data[i] ^= 1;
		if (journal_get_header(buf.data, buf.length) != 0)
			fail_msg("byte %zu", i);
		buf.data[i] ^= 1;
	}
	memset(buf.data, 0, buf.length);
	assert_int_equal(journal_get_header(buf.data, buf.length), 0);
	buf_release(&buf);
}

static void
round_trip(void **state)
{
	struct journal_record record;
	struct buf buf = BUF_INIT;
	size_t at = 0, first;

	(void)state;
	journal_put_record(&buf, GENERATION, &whole);
	first = buf.length;
	assert_int_equal(first, JOURNAL_BEFORE_ENVELOPE + whole.length);
	assert_memory_equal(
	    buf.data + JOURNAL_BEFORE_ENVELOPE, ENVELOPE, whole.length);
	journal_put_record(&buf, GENERATION, &over);
	assert_int_equal(buf.length, first + JOURNAL_OVER_BYTES);
	assert_true(
	    journal_get_record(buf.data, buf.length, GENERATION, &at, &record));
	expect_record(&record, &whole, 0);
	assert_int_equal(at, first);
	assert_true(
	    journal_get_record(buf.data, buf.length, GENERATION, &at, &record));
	expect_record(&record, &over, 0);
	assert_int_equal(at, buf.length);
	assert_false(
	    journal_get_record(buf.data, buf.length, GENERATION, &at, &record));
	buf_release(&buf);
}

/* No part of a record, and no record with any bit wrong, is one. */
static void
torn_and_flipped(void **state)
{
	const struct journal_record *records[] = { &whole, &over };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct buf buf = BUF_INIT;
		size_t length, at, bit;

		journal_put_record(&buf, GENERATION, records[i]);
		length = buf.length;
		assert_true(has_record(&buf, GENERATION));
		assert_false(has_record(&buf, GENERATION - 1));
		assert_false(has_record(&buf, GENERATION + 1));
		for (buf.length = 0; buf.length < length; buf.length++)
			if (has_record(&buf, GENERATION))
				fail_msg("cut at %zu", buf.length);
		for (at = 0; at < length; at++)
			for (bit = 0; bit < 8; bit++) {
				buf.data[at] ^= (char)(1 << bit);
				if (has_record(&buf, GENERATION))
					fail_msg("byte %zu bit %zu", at, bit);
				buf.data[at] ^= (char)(1 << bit);
			}
		buf_release(&buf);
	}
}

/* Each place that is no record is passed over, and said. */
static void
passes_over(void **state)
{
	static const struct {
		const char *name;
		uint64_t generation; /* of a record in front */
		size_t zeros, wanted;
	} rows[] = {
		{ "nothing", 0, 0, 0 },
		{ "zeros", 0, 700, 700 },
		{ "an older record", GENERATION - 2, 0, JOURNAL_OVER_BYTES },
		{ "both", GENERATION - 2, 3, JOURNAL_OVER_BYTES + 3 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct journal_record record;
		struct buf buf = BUF_INIT;
		size_t at = 0;

		if (rows[i].generation != 0)
			journal_put_record(&buf, rows[i].generation, &over);
		for (size_t zero = 0; zero < rows[i].zeros; zero++)
			buf_addc(&buf, '\0');
		journal_put_record(&buf, GENERATION, &whole);
		if (!journal_get_record(
			buf.data, buf.length, GENERATION, &at, &record))
			fail_msg("%s", rows[i].name);
		expect_record(&record, &whole, rows[i].wanted);
		assert_int_equal(at, buf.length);
		buf_release(&buf);
	}
}

static void
set_sum(struct buf *buf)
{
	uint32_t sum = htole32((uint32_t)crc32(
	    0, (const Bytef *)buf->data + 4, (uInt)(buf->length - 4)));

	memcpy(buf->data, &sum, sizeof(sum));
}

/* The sum is right, and it is no record all the same. */
static void
wrong_content(void **state)
{
	static const struct {
		const char *name;
		size_t at;
		char value;
		bool is_good;
	} rows[] = {
		{ "as it was", TYPE_AT, '+', true },
		{ "no such type", TYPE_AT, '*', false },
		{ "an end with an envelope", TYPE_AT, '-', false },
		{ "no id", TYPE_AT + 1, 0, false },
		{ "envelope too short", JOURNAL_BEFORE_ENVELOPE - 4,
		    sizeof(ENVELOPE) - 1, false },
		{ "envelope too long", JOURNAL_BEFORE_ENVELOPE - 4,
		    sizeof(ENVELOPE) + 1, false },
		{ "envelope far too long", JOURNAL_BEFORE_ENVELOPE - 1, 127,
		    false },
		{ "record too long", LENGTH_AT + 3, 127, false },
		{ "record that long that it wraps", LENGTH_AT + 3, -1, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct journal_record small = whole;
		struct buf buf = BUF_INIT;

		small.id = 1;
		journal_put_record(&buf, GENERATION, &small);
		buf.data[rows[i].at] = rows[i].value;
		set_sum(&buf);
		if (has_record(&buf, GENERATION) != rows[i].is_good)
			fail_msg("%s", rows[i].name);
		buf_release(&buf);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers),
		cmocka_unit_test(damaged_headers),
		cmocka_unit_test(round_trip),
		cmocka_unit_test(torn_and_flipped),
		cmocka_unit_test(passes_over),
		cmocka_unit_test(wrong_content),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
