/* SPDX-License-Identifier: ISC */
/* Tests of queue/journal_record.h. */
#include "queue/journal_record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PAGE = JOURNAL_PAGE_BYTES };

static const uint64_t generation = (uint64_t)7 << 32 | 0x12345678;

static void
pad(struct buf *buf)
{
	while (buf->length % PAGE != 0)
		buf_addc(buf, '\0');
}

static void
put_message(
    struct buf *buf, uint64_t id, uint32_t page, const char *body, size_t size)
{
	struct journal_record record = { .type = JOURNAL_NEW,
		.page = page,
		.message = { .id = id,
		    .uuid = { { 1, 2, 3 } },
		    .birth_s = 1000000,
		    .size_bytes = size,
		    .record = "Fa\0Tb",
		    .record_length = 6,
		    .body = body } };

	journal_put_record(buf, generation, &record);
}

static void
put_end(struct buf *buf, uint64_t id, uint32_t page)
{
	struct journal_record record = {
		.type = JOURNAL_END, .page = page, .message = { .id = id }
	};

	journal_put_record(buf, generation, &record);
}

static void
header(void **state)
{
	struct buf buf = BUF_INIT;
	uint64_t found, next_id;
	size_t i;

	(void)state;
	journal_put_header(&buf, generation, 99);
	assert_int_equal(buf.length, PAGE);
	assert_true(journal_get_header(buf.data, buf.length, &found, &next_id));
	assert_int_equal(found, generation);
	assert_int_equal(next_id, 99);
	assert_false(
	    journal_get_header(buf.data, buf.length - 1, &found, &next_id));
	for (i = 0; i < 37; i++) { /* its 37 bytes */
		buf.data[i] ^= 1;
		assert_false(
		    journal_get_header(buf.data, buf.length, &found, &next_id));
		buf.data[i] ^= 1;
	}
	buf_reset(&buf);
	journal_put_header(&buf, 0x12345678, 99); /* counts from 1 */
	assert_false(
	    journal_get_header(buf.data, buf.length, &found, &next_id));
	buf_release(&buf);
}

static void
one_record(void **state)
{
	static const struct {
		const char *name, *body;
		size_t size, bytes;
	} cases[] = {
		{ "here", "body\n", 5, JOURNAL_NEW_BYTES + 6 + 5 },
		{ "empty", "", 0, JOURNAL_NEW_BYTES + 6 },
		{ "in a file", NULL, 12345, JOURNAL_NEW_BYTES + 6 },
	};
	struct journal_record record;
	uint64_t found;
	size_t i, at;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf buf = BUF_INIT;
		const struct journal_message *message = &record.message;

		put_message(&buf, 42, 3, cases[i].body, cases[i].size);
		assert_int_equal(buf.length, cases[i].bytes);
		assert_int_equal(
		    journal_get_record(buf.data, buf.length, &found, &record),
		    buf.length);
		assert_int_equal(found, generation);
		assert_int_equal(record.type, JOURNAL_NEW);
		assert_int_equal(record.page, 3);
		assert_int_equal(message->id, 42);
		assert_int_equal(message->uuid.bytes[2], 3);
		assert_int_equal(message->birth_s, 1000000);
		assert_int_equal(message->size_bytes, cases[i].size);
		assert_int_equal(message->record_length, 6);
		assert_memory_equal(message->record, "Fa\0Tb", 6);
		if (cases[i].body == NULL)
			assert_null(message->body);
		else
			assert_memory_equal(
			    message->body, cases[i].body, cases[i].size);
		for (at = 0; at < buf.length; at++) {
			assert_int_equal(
			    journal_get_record(buf.data, at, &found, &record),
			    0);
			buf.data[at] ^= 0x40;
			assert_int_equal(journal_get_record(buf.data,
					     buf.length, &found, &record),
			    0);
			buf.data[at] ^= 0x40;
		}
		buf_release(&buf);
	}
}

/* Right sums, and yet no records. */
static void
bad_records(void **state)
{
	struct journal_record records[] = {
		{ .type = JOURNAL_END, .page = 1, .message = { .id = 0 } },
		{ .type = 'x', .page = 1, .message = { .id = 1 } },
	};
	struct journal_record record;
	struct buf buf = BUF_INIT;
	uint64_t found;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(records) / sizeof(records[0]); i++) {
		buf_reset(&buf);
		journal_put_record(&buf, generation, &records[i]);
		assert_int_equal(buf.length, JOURNAL_END_BYTES);
		assert_int_equal(
		    journal_get_record(buf.data, buf.length, &found, &record),
		    buf.length);
		assert_int_equal(found, generation);
		assert_int_equal(record.type, JOURNAL_UNREADABLE);
	}
	buf_release(&buf);
}

/* -- cursors */

struct wanted {
	uint64_t ids[8]; /* up to a 0 */
	bool is_damaged;
};

static void
expect_records(
    const char *name, const struct buf *segment, const struct wanted *wanted)
{
	struct journal_cursor cursor;
	struct journal_record record;
	size_t count = 0;

	journal_cursor_open(
	    &cursor, segment->data, segment->length, generation);
	while (journal_cursor_next(&cursor, &record)) {
		if (wanted->ids[count] != record.message.id)
			fail_msg("%s: record %zu is %llu, not %llu", name,
			    count, (unsigned long long)record.message.id,
			    (unsigned long long)wanted->ids[count]);
		count++;
	}
	if (wanted->ids[count] != 0)
		fail_msg("%s: %zu records", name, count);
	if (cursor.is_damaged != wanted->is_damaged)
		fail_msg("%s: damaged: %d", name, cursor.is_damaged);
}

/*
 * Page 1: messages 1 and 2; 2 to 4: message 3 of two pages, and the end of 1;
 * 5: message 4, to the last byte of the page; 6: the end of 2.
 */
static void
make_segment(struct buf *segment)
{
	static char body[2 * PAGE];

	memset(body, 'x', sizeof(body));
	buf_reset(segment);
	journal_put_header(segment, generation, 1);
	put_message(segment, 1, 1, "one", 3);
	put_message(segment, 2, 1, "two", 3);
	pad(segment);
	put_message(segment, 3, 2, body, sizeof(body));
	put_end(segment, 1, 2);
	pad(segment);
	assert_int_equal(segment->length, 5 * PAGE);
	put_message(segment, 4, 5, body, PAGE - JOURNAL_NEW_BYTES - 6);
	assert_int_equal(segment->length, 6 * PAGE);
	put_end(segment, 2, 6);
	pad(segment);
	buf_reserve(segment, 4 * PAGE);
	memset(segment->data + segment->length, 0, 4 * PAGE);
	segment->length += 4 * PAGE;
}

static void
lost_places(void **state)
{
	static const struct {
		const char *name;
		size_t from, to; /* these bytes are lost */
		struct wanted wanted;
	} cases[] = {
		{ "nothing", 0, 0, { { 1, 2, 3, 1, 4, 2 }, false } },
		{ "header", 0, PAGE, { { 1, 2, 3, 1, 4, 2 }, false } },
		{ "the first record", PAGE + 10, PAGE + 11,
		    { { 2, 3, 1, 4, 2 }, true } },
		{ "the second record", PAGE + 80, PAGE + 90,
		    { { 1, 3, 1, 4, 2 }, true } },
		{ "in a body, the rest of its batch", 4 * PAGE - 1, 4 * PAGE,
		    { { 1, 2, 1, 4, 2 }, true } },
		{ "the first batch", PAGE, 2 * PAGE, { { 3, 1, 4, 2 }, true } },
		{ "in a body", 3 * PAGE, 3 * PAGE + 512,
		    { { 1, 2, 1, 4, 2 }, true } },
		{ "a batch of some pages", 2 * PAGE, 5 * PAGE,
		    { { 1, 2, 4, 2 }, true } },
		{ "its last page", 4 * PAGE, 5 * PAGE,
		    { { 1, 2, 4, 2 }, true } },
		{ "a batch that fills its page", 5 * PAGE, 6 * PAGE,
		    { { 1, 2, 3, 1, 2 }, true } },
		/* Not durable, perhaps. */
		{ "the last batch", 6 * PAGE, 7 * PAGE,
		    { { 1, 2, 3, 1, 4 }, false } },
		{ "in the last record", 6 * PAGE, 6 * PAGE + 2,
		    { { 1, 2, 3, 1, 4 }, false } },
		{ "all", PAGE, 7 * PAGE, { { 0 }, false } },
		{ "all but the last", PAGE, 6 * PAGE, { { 2 }, true } },
	};
	struct buf segment = BUF_INIT;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		make_segment(&segment);
		memset(segment.data + cases[i].from, 0,
		    cases[i].to - cases[i].from);
		expect_records(cases[i].name, &segment, &cases[i].wanted);
		make_segment(&segment);
		memset(segment.data + cases[i].from, 0xe5,
		    cases[i].to - cases[i].from);
		expect_records(cases[i].name, &segment, &cases[i].wanted);
	}
	buf_release(&segment);
}

/* What is durable, even as the last thing, and cannot be read, is told. */
static void
of_a_newer_release(void **state)
{
	struct wanted wanted = { { 1, 2, 3, 1, 4, 2 }, true };
	struct journal_record newer = {
		.type = '*', .page = 7, .message = { .id = 9 }
	};
	struct buf segment = BUF_INIT, record = BUF_INIT;

	(void)state;
	journal_put_record(&record, generation, &newer);
	make_segment(&segment);
	memcpy(segment.data + 7 * PAGE, record.data, record.length);
	expect_records("the last batch", &segment, &wanted);
	make_segment(&segment);
	memcpy(segment.data + 6 * PAGE + JOURNAL_END_BYTES, record.data,
	    record.length);
	expect_records("in the last batch", &segment, &wanted);
	/* Not this segment's. */
	wanted.is_damaged = false;
	buf_reset(&record);
	journal_put_record(&record, generation ^ 1, &newer);
	make_segment(&segment);
	memcpy(segment.data + 7 * PAGE, record.data, record.length);
	expect_records("forged", &segment, &wanted);
	buf_release(&record);
	buf_release(&segment);
}

/* A cut file: what is there is found. */
static void
cut(void **state)
{
	struct wanted wanted = { { 1, 2, 3, 1 }, false };
	struct buf segment = BUF_INIT;

	(void)state;
	make_segment(&segment);
	segment.length = 5 * PAGE + 100;
	expect_records("in a record", &segment, &wanted);
	segment.length = 5 * PAGE;
	expect_records("between batches", &segment, &wanted);
	segment.length = 5 * PAGE - 1;
	expect_records("in the padding", &segment, &wanted);
	segment.length = 0;
	wanted.ids[0] = 0;
	expect_records("everything", &segment, &wanted);
	buf_release(&segment);
}

/* Records of another generation, behind and below this one's. */
static void
other_generations(void **state)
{
	struct wanted wanted = { { 1, 2, 3, 1, 4, 2 }, false };
	struct journal_record old = {
		.type = JOURNAL_END, .page = 7, .message = { .id = 9 }
	};
	struct buf segment = BUF_INIT, record = BUF_INIT;

	(void)state;
	make_segment(&segment);
	journal_put_record(&record, generation - ((uint64_t)4 << 32), &old);
	memcpy(segment.data + 7 * PAGE, record.data, record.length);
	memcpy(segment.data + 8 * PAGE, record.data, record.length);
	expect_records("older", &segment, &wanted);
	buf_reset(&record);
	journal_put_record(&record, generation ^ 1, &old);
	memcpy(segment.data + 7 * PAGE, record.data, record.length);
	expect_records("forged", &segment, &wanted);
	buf_release(&record);
	buf_release(&segment);
}

/* What was written without a sync, and then was written over, is no damage. */
static void
longer_before(void **state)
{
	struct wanted wanted = { { 1, 2, 3, 1, 4, 2, 5 }, false };
	struct buf segment = BUF_INIT, record = BUF_INIT;

	(void)state;
	make_segment(&segment);
	put_end(&record, 5, 6);
	memcpy(segment.data + 7 * PAGE, record.data, record.length);
	expect_records("a second page", &segment, &wanted);
	buf_release(&record);
	buf_release(&segment);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(header),
		cmocka_unit_test(one_record),
		cmocka_unit_test(bad_records),
		cmocka_unit_test(lost_places),
		cmocka_unit_test(of_a_newer_release),
		cmocka_unit_test(cut),
		cmocka_unit_test(other_generations),
		cmocka_unit_test(longer_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
