/* SPDX-License-Identifier: ISC */
/* Tests of queue/journal.h; what a bad disk does is in others. */
#include "queue/journal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <zlib.h>

#include "base/wire.h"
#include "queue/journal_record.h"
#include "queue/journal_scan.h"
#include "tests/unit/bare_queue.h"
#include "tests/unit/journal_found.h"

enum { SEGMENT = JOURNAL_SEGMENT_MIN, PAGE = JOURNAL_PAGE_BYTES };

static const struct journal_options small = { .size_bytes = JOURNAL_SEGMENTS *
	    SEGMENT,
	.body_max_bytes = JOURNAL_BODY_MAX };

static char body[SEGMENT];

static struct journal *
open_journal(const struct queue_dir *dir, const struct journal_options *options,
    struct found *found)
{
	struct journal_finder finder = found_finder(found);
	struct error err = { "" };
	struct journal *journal;

	found_reset(found);
	if (journal_open(dir, options, &finder, &journal, &err) == -1)
		fail_msg("%s", err.text);
	return journal;
}

static bool
add(struct journal *journal, uint64_t id, size_t size)
{
	char record[32];
	struct journal_message message = { .id = id,
		.uuid = { { (uint8_t)id, (uint8_t)(id >> 8), 7 } },
		.birth_s = 1000,
		.size_bytes = size,
		.record = record,
		.body = body };

	message.record_length = (size_t)snprintf(
	    record, sizeof(record), "Fsender%" PRIu64, id);
	memset(body, 'a' + (int)(id % 26), size);
	return journal_add(journal, &message);
}

static void
commit(struct journal *journal)
{
	assert_int_equal(journal_commit(journal), 0);
}

static uint64_t
used_bytes(const struct journal *journal)
{
	struct journal_stats stats;

	journal_read_stats(journal, &stats);
	return stats.used_bytes;
}

static uint64_t
messages(const struct journal *journal)
{
	struct journal_stats stats;

	journal_read_stats(journal, &stats);
	return stats.messages;
}

static void
found_again(void **state)
{
	struct queue_dir *dir = make_bare_queue("q", 1);
	struct found found = { .messages = NULL };
	struct journal *journal = open_journal(dir, &small, &found);
	struct journal_message in_file = { .id = 12,
		.size_bytes = 1 << 20,
		.record = "Fx",
		.record_length = 3 };

	(void)state;
	assert_string_equal(found_text(&found), "");
	assert_int_equal(journal_next_id(journal), 1);
	assert_false(journal_has_unwritten(journal));
	assert_true(add(journal, 10, 5));
	assert_true(add(journal, 11, 100000));
	assert_true(journal_add(journal, &in_file));
	assert_true(journal_has_unwritten(journal));
	commit(journal);
	assert_int_equal(journal_segment(journal), 1);
	assert_int_equal(messages(journal), 3);
	journal_close(&journal);

	journal = open_journal(dir, &small, &found);
	assert_string_equal(found_text(&found), "10 11 12");
	assert_int_equal(journal_next_id(journal), 13);
	assert_int_equal(found.messages[0].body.length, 5);
	assert_memory_equal(found.messages[0].body.data, "kkkkk", 5);
	assert_int_equal(found.messages[0].uuid.bytes[0], 10);
	assert_int_equal(found.messages[1].body.length, 100000);
	assert_int_equal(found.messages[1].record.length, 9);
	assert_memory_equal(found.messages[1].record.data, "Fsender11", 9);
	assert_null(found.messages[2].body.data);
	assert_int_equal(found.messages[2].size_bytes, 1 << 20);
	assert_int_equal(found.messages[2].segment, 1);
	journal_end(journal, 11);
	assert_true(journal_is_ending(journal, 11));
	journal_end(journal, 99); /* nobody's */
	assert_false(journal_is_ending(journal, 99));
	commit(journal);
	assert_false(journal_is_ending(journal, 11));
	assert_false(journal_has_unwritten(journal));
	journal_close(&journal);

	journal = open_journal(dir, &small, &found);
	assert_string_equal(found_text(&found), "10 -11 12");
	assert_int_equal(found.messages[1].uuid.bytes[0], 11);
	journal_close(&journal);
	found_reset(&found);
	queue_dir_close(&dir);
}

/* Not committed, nothing is there; noted, an end is, after a kill. */
static void
killed(void **state)
{
	struct queue_dir *dir = make_bare_queue("q", 1);
	struct found found = { .messages = NULL }, other = { .messages = NULL };
	struct journal *journal = open_journal(dir, &small, &found), *next;

	(void)state;
	assert_true(add(journal, 1, 10));
	assert_true(add(journal, 2, 10));
	commit(journal);
	assert_true(add(journal, 3, 10));
	next = open_journal(dir, &small, &other);
	assert_string_equal(found_text(&other), "1 2");
	journal_close(&next);
	commit(journal);
	journal_end(journal, 1);
	assert_int_equal(journal_write_ends(journal), 0);
	assert_true(journal_is_ending(journal, 1));
	next = open_journal(dir, &small, &other);
	assert_string_equal(found_text(&other), "-1 2 3");
	journal_close(&next);
	/* What comes next is at the same place, and has it, too. */
	assert_true(add(journal, 4, 10));
	commit(journal);
	assert_false(journal_is_ending(journal, 1));
	next = open_journal(dir, &small, &other);
	assert_string_equal(found_text(&other), "-1 2 3 4");
	journal_close(&next);
	journal_close(&journal);
	found_reset(&found);
	found_reset(&other);
	queue_dir_close(&dir);
}

/* As many as there is room for; the next id. */
static uint64_t
fill(struct journal *journal, uint64_t id)
{
	while (add(journal, id, 3000)) {
		commit(journal);
		id++;
	}
	assert_false(journal_has_unwritten(journal));
	return id;
}

static void
full(void **state)
{
	struct queue_dir *dir = make_bare_queue("q", 1);
	struct found found = { .messages = NULL };
	struct journal *journal = open_journal(dir, &small, &found);
	uint64_t next = fill(journal, 1), i;

	(void)state;
	/* One message a page. */
	assert_int_equal(
	    next - 1, JOURNAL_SEGMENTS * (SEGMENT * 15 / 16 / PAGE - 1));
	assert_int_equal(journal_segment(journal), JOURNAL_SEGMENTS);
	assert_int_equal(journal_wanted(journal), 1);
	journal_close(&journal);

	/* The next process has no room, even for ends, but knows what to do. */
	journal = open_journal(dir, &small, &found);
	assert_int_equal(found.count, next - 1);
	assert_int_equal(journal_wanted(journal), 1);
	assert_false(add(journal, next, 10));
	for (i = 0; i < found.count && found.messages[i].segment == 1; i++) {
		assert_int_equal(journal_commit(journal), i == 0 ? 0 : -1);
		journal_end(journal, found.messages[i].id);
		assert_true(journal_is_ending(journal, found.messages[i].id));
	}
	assert_int_equal(journal_wanted(journal), 0);
	commit(journal);
	assert_false(journal_has_unwritten(journal));
	assert_true(add(journal, next, 10));
	commit(journal);
	journal_close(&journal);

	journal = open_journal(dir, &small, &found);
	assert_int_equal(found.messages[0].segment, 2);
	assert_int_equal(found.messages[found.count - 1].id, next);
	assert_int_equal(found.count, next - i);
	journal_close(&journal);
	found_reset(&found);
	queue_dir_close(&dir);
}

/* Ends always have some room that messages cannot take. */
static void
room_for_ends(void **state)
{
	struct queue_dir *dir = make_bare_queue("q", 1);
	struct found found = { .messages = NULL };
	struct journal *journal = open_journal(dir, &small, &found);
	uint64_t next = fill(journal, 1), id;

	(void)state;
	for (id = 2; id < next; id++)
		journal_end(journal, id);
	commit(journal);
	assert_false(journal_has_unwritten(journal));
	assert_false(add(journal, next, 10));
	journal_close(&journal);
	journal = open_journal(dir, &small, &found);
	assert_int_equal(found.count, next - 1);
	assert_false(found.messages[0].is_over);
	assert_true(found.messages[1].is_over);
	assert_int_equal(messages(journal), 1);
	journal_close(&journal);
	found_reset(&found);
	queue_dir_close(&dir);
}

/* Round and round, with one message that always stays a while. */
static void
many_rounds(void **state)
{
	struct queue_dir *dir = make_bare_queue("q", 1);
	struct found found = { .messages = NULL };
	struct journal *journal = open_journal(dir, &small, &found);
	uint64_t id, kept = 1, segment = 1;
	char wanted[64];

	(void)state;
	for (id = 1; id < 2000; id++) {
		assert_true(add(journal, id, 3000));
		commit(journal);
		if (kept == 0) {
			kept = id;
			segment = journal_segment(journal);
		} else if (id != kept)
			journal_end(journal, id);
		if (kept != 0 && journal_wanted(journal) >= segment) {
			journal_end(journal, kept);
			kept = 0;
		}
		assert_true(messages(journal) <= 2);
		assert_true(used_bytes(journal) <= small.size_bytes);
	}
	assert_true(journal_segment(journal) > 20);
	assert_int_not_equal(kept, 0);
	commit(journal);
	journal_close(&journal);
	journal = open_journal(dir, &small, &found);
	snprintf(wanted, sizeof(wanted), "%" PRIu64, kept);
	assert_non_null(strstr(found_text(&found), wanted));
	assert_int_equal(messages(journal), 1);
	assert_int_equal(journal_next_id(journal), 2000);
	journal_close(&journal);
	found_reset(&found);
	queue_dir_close(&dir);
}

static void
limits(void **state)
{
	struct queue_dir *dir = make_bare_queue("q", 1);
	struct found found = { .messages = NULL };
	struct journal_options options = small;
	struct journal *journal = open_journal(dir, &small, &found);
	size_t room = SEGMENT * 15 / 16 - PAGE;
	struct journal_message message = { .id = 1, .record = body };

	(void)state;
	/* At most a quarter of a segment. */
	assert_true(journal_takes(journal, SEGMENT / 4));
	assert_false(journal_takes(journal, SEGMENT / 4 + 1));
	message.record_length = room - JOURNAL_NEW_BYTES;
	assert_true(journal_fits(journal, &message));
	assert_true(journal_add(journal, &message));
	commit(journal);
	message.id = 2;
	message.record_length++;
	assert_false(journal_fits(journal, &message));
	assert_false(journal_add(journal, &message));
	/* With a batch that fills the segment, the next has to wait for it. */
	message.id = 3;
	message.record_length = 200000;
	assert_true(journal_add(journal, &message));
	message.id = 4;
	assert_false(journal_add(journal, &message));
	commit(journal);
	assert_true(journal_add(journal, &message));
	commit(journal);
	journal_close(&journal);
	options.body_max_bytes = 1000;
	journal = open_journal(dir, &options, &found);
	assert_string_equal(found_text(&found), "1 3 4");
	assert_int_equal(found.messages[2].record.length, 200000);
	assert_true(journal_takes(journal, 1000));
	assert_false(journal_takes(journal, 1001));
	journal_close(&journal);
	found_reset(&found);
	queue_dir_close(&dir);
}

static uint64_t
file_size(const struct queue_dir *dir, unsigned place)
{
	char name[JOURNAL_NAME_SIZE];
	struct stat st;

	journal_name(name, place);
	if (fstatat(queue_dir_fd(dir, QUEUE_LOCK, 0), name, &st, 0) == -1)
		return 0;
	return (uint64_t)st.st_size;
}

/* Another size counts for each segment when its turn comes. */
static void
other_size(void **state)
{
	struct journal_options larger = small;
	struct queue_dir *dir = make_bare_queue("q", 1);
	struct found found = { .messages = NULL };
	struct journal *journal = open_journal(dir, &small, &found);
	uint64_t id;

	(void)state;
	larger.size_bytes *= 2;
	assert_int_equal(file_size(dir, 1), SEGMENT);
	assert_int_equal(file_size(dir, 0), SEGMENT);
	assert_true(add(journal, 1, 10));
	commit(journal);
	journal_close(&journal);
	journal = open_journal(dir, &larger, &found);
	assert_string_equal(found_text(&found), "1");
	assert_int_equal(file_size(dir, 1), SEGMENT);
	assert_int_equal(file_size(dir, 2), 2 * SEGMENT);
	id = fill(journal, 2);
	assert_int_equal(file_size(dir, 0), 2 * SEGMENT);
	assert_int_equal(file_size(dir, 1), SEGMENT);
	journal_end(journal, 1);
	assert_true(add(journal, id, 10));
	commit(journal);
	assert_int_equal(file_size(dir, 1), 2 * SEGMENT);
	journal_close(&journal);
	journal = open_journal(dir, &small, &found);
	assert_int_equal(found.count, id - 1);
	assert_int_equal(found.messages[0].id, 2);
	journal_close(&journal);
	found_reset(&found);
	queue_dir_close(&dir);
}

/* -- an older release's */

static void
put_old_record(struct buf *buf, uint64_t generation, bool is_end, uint64_t id)
{
	size_t start = buf->length;
	uint32_t sum, length;

	wire_put_u32(buf, 0);
	wire_put_u32(buf, 0);
	wire_put_u64(buf, generation);
	wire_put_u8(buf, is_end ? '-' : '+');
	wire_put_u64(buf, id);
	if (!is_end) {
		wire_put_u64(buf, 5);
		wire_put_u64(buf, 1000);
		wire_put_bytes(buf, "u0\0", 3);
	}
	length = (uint32_t)(buf->length - start - 8);
	memcpy(buf->data + start + 4, &length, 4);
	sum = (uint32_t)crc32(
	    0, (const Bytef *)buf->data + start + 4, length + 4);
	memcpy(buf->data + start, &sum, 4);
}

static void
old_journal(void **state)
{
	enum { HALF = 2 * 1024 * 1024 };
	static const struct {
		const char *name;
		uint64_t generations[2];
		int ids[2][3]; /* negative: its end */
		bool counts;
	} cases[] = {
		{ "empty", { 7, 8 }, { { 0 }, { 0 } }, false },
		{ "mail", { 7, 8 }, { { 1 }, { 0 } }, true },
		{ "in the other", { 7, 8 }, { { 0 }, { 1 } }, true },
		{ "ended", { 7, 8 }, { { 1, -1 }, { 0 } }, false },
		{ "ended in the other", { 8, 7 }, { { -1, 2, -2 }, { 1 } },
		    false },
		{ "one of two", { 7, 8 }, { { 1, 2 }, { -1 } }, true },
		{ "of old", { 7, 9 }, { { 1 }, { 2, -2 } }, false },
		{ "one half", { 0, 1 }, { { 0 }, { 1 } }, true },
	};
	struct queue_dir *dir = make_bare_queue("q", 1);
	struct found found = { .messages = NULL };
	struct journal_finder finder = found_finder(&found);
	int lock = queue_dir_fd(dir, QUEUE_LOCK, 0);
	struct journal *journal;
	struct error err;
	size_t i, half, at;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf file = BUF_INIT;
		int result;

		for (half = 0; half < 2; half++) {
			uint64_t generation = cases[i].generations[half];

			if (generation != 0) {
				buf_adds(&file, "mqmail journal 1\n");
				wire_put_u64(&file, generation);
			}
			while (file.length < half * HALF + 512)
				buf_addc(&file, '\0');
			for (at = 0; at < 3; at++)
				if (cases[i].ids[half][at] != 0)
					put_old_record(&file, generation,
					    cases[i].ids[half][at] < 0,
					    (uint64_t)abs(
						cases[i].ids[half][at]));
			while (half == 0 && file.length < HALF)
				buf_addc(&file, '\0');
		}
		folder_write("q/lock/journal", file.data, file.length);
		buf_release(&file);
		result = journal_open(dir, &small, &finder, &journal, &err);
		if (result != (cases[i].counts ? -1 : 0))
			fail_msg("%s: %d", cases[i].name, result);
		assert_int_equal(
		    faccessat(lock, "journal", F_OK, 0), result == 0 ? -1 : 0);
		if (result == 0)
			journal_close(&journal);
		else
			assert_non_null(strstr(err.text, "queue-fix"));
	}
	found_reset(&found);
	queue_dir_close(&dir);
}

/* No permission is a reason not to begin. */
static void
not_opened(void **state)
{
	struct queue_dir *dir = make_bare_queue("q", 1);
	struct found found = { .messages = NULL };
	struct journal_finder finder = found_finder(&found);
	int lock = queue_dir_fd(dir, QUEUE_LOCK, 0);
	struct journal *journal;
	struct error err;

	(void)state;
	assert_int_equal(symlinkat("elsewhere", lock, "journal.2"), 0);
	assert_int_equal(
	    journal_open(dir, &small, &finder, &journal, &err), -1);
	assert_null(journal);
	assert_non_null(strstr(err.text, "q/lock/journal.2"));
	queue_dir_close(&dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(found_again),
		TEST(killed),
		TEST(full),
		TEST(room_for_ends),
		TEST(many_rounds),
		TEST(limits),
		TEST(other_size),
		TEST(old_journal),
		TEST(not_opened),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
