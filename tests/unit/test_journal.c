/* SPDX-License-Identifier: ISC */
/* Tests of queue/journal.h; what a bad disk does is in others. */
#include "queue/journal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "queue/journal_record.h"
#include "queue/journal_scan.h"
#include "tests/unit/bare_queue.h"
#include "tests/unit/journal_found.h"

enum {
	SEGMENT = JOURNAL_SEGMENT_MIN,
	SMALL = JOURNAL_SEGMENTS * SEGMENT,
	PAGE = JOURNAL_PAGE_BYTES
};

static char body[SEGMENT];

static struct journal *
open_journal(
    const struct queue_dir *dir, uint64_t size_bytes, struct found *found)
{
	struct journal_finder finder = found_finder(found);
	struct error err = { "" };
	struct journal *journal;

	found_reset(found);
	if (journal_open(dir, size_bytes, &finder, &journal, &err) == -1)
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
	struct journal *journal = open_journal(dir, SMALL, &found);
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

	journal = open_journal(dir, SMALL, &found);
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

	journal = open_journal(dir, SMALL, &found);
	assert_string_equal(found_text(&found), "10 -11 12");
	assert_int_equal(found.messages[1].uuid.bytes[0], 11);
	journal_close(&journal);
	found_reset(&found);
	queue_dir_close(&dir);
}

/* What has moved away may come again, whether it had files or not. */
static void
forgotten(void **state)
{
	struct queue_dir *dir = make_bare_queue("q", 1);
	struct found found = { .messages = NULL };
	struct journal *journal = open_journal(dir, SMALL, &found);

	(void)state;
	assert_true(add(journal, 10, 5));
	assert_true(add(journal, 11, 5));
	assert_true(add(journal, 12, 5));
	commit(journal);
	journal_end(journal, 11);
	journal_end(journal, 12);
	commit(journal);
	journal_forget(journal, 10);
	journal_forget(journal, 11);
	journal_forget(journal, 99); /* of a segment that is no more */
	assert_true(journal_has_unwritten(journal));
	commit(journal);
	assert_int_equal(messages(journal), 0);
	journal_close(&journal);

	journal = open_journal(dir, SMALL, &found);
	assert_string_equal(found_text(&found), "-12");
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
	struct journal *journal = open_journal(dir, SMALL, &found), *next;

	(void)state;
	assert_true(add(journal, 1, 10));
	assert_true(add(journal, 2, 10));
	commit(journal);
	assert_true(add(journal, 3, 10));
	next = open_journal(dir, SMALL, &other);
	assert_string_equal(found_text(&other), "1 2");
	journal_close(&next);
	commit(journal);
	journal_end(journal, 1);
	assert_int_equal(journal_write_ends(journal), 0);
	assert_true(journal_is_ending(journal, 1));
	next = open_journal(dir, SMALL, &other);
	assert_string_equal(found_text(&other), "-1 2 3");
	journal_close(&next);
	/* What comes next is at the same place, and has it, too. */
	assert_true(add(journal, 4, 10));
	commit(journal);
	assert_false(journal_is_ending(journal, 1));
	next = open_journal(dir, SMALL, &other);
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
	struct journal *journal = open_journal(dir, SMALL, &found);
	uint64_t next = fill(journal, 1), i;

	(void)state;
	/* One message a page. */
	assert_int_equal(
	    next - 1, JOURNAL_SEGMENTS * (SEGMENT * 15 / 16 / PAGE - 1));
	assert_int_equal(journal_segment(journal), JOURNAL_SEGMENTS);
	assert_int_equal(journal_wanted(journal), 1);
	journal_close(&journal);

	/* The next process has no room, even for ends, but knows what to do. */
	journal = open_journal(dir, SMALL, &found);
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

	journal = open_journal(dir, SMALL, &found);
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
	struct journal *journal = open_journal(dir, SMALL, &found);
	uint64_t next = fill(journal, 1), id;

	(void)state;
	for (id = 2; id < next; id++)
		journal_end(journal, id);
	commit(journal);
	assert_false(journal_has_unwritten(journal));
	assert_false(add(journal, next, 10));
	journal_close(&journal);
	journal = open_journal(dir, SMALL, &found);
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
	struct journal *journal = open_journal(dir, SMALL, &found);
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
		assert_true(used_bytes(journal) <= SMALL);
	}
	assert_true(journal_segment(journal) > 20);
	assert_int_not_equal(kept, 0);
	commit(journal);
	journal_close(&journal);
	journal = open_journal(dir, SMALL, &found);
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
	struct journal *journal = open_journal(dir, SMALL, &found);
	size_t room = SEGMENT * 15 / 16 - PAGE;
	struct journal_message message = { .id = 1, .record = body };

	(void)state;
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
	journal = open_journal(dir, SMALL, &found);
	assert_string_equal(found_text(&found), "1 3 4");
	assert_int_equal(found.messages[2].record.length, 200000);
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
	struct queue_dir *dir = make_bare_queue("q", 1);
	struct found found = { .messages = NULL };
	struct journal *journal = open_journal(dir, SMALL, &found);
	uint64_t id;

	(void)state;
	assert_int_equal(file_size(dir, 1), SEGMENT);
	assert_int_equal(file_size(dir, 0), SEGMENT);
	assert_true(add(journal, 1, 10));
	commit(journal);
	journal_close(&journal);
	journal = open_journal(dir, 2 * SMALL, &found);
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
	journal = open_journal(dir, SMALL, &found);
	assert_int_equal(found.count, id - 1);
	assert_int_equal(found.messages[0].id, 2);
	journal_close(&journal);
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
	assert_int_equal(journal_open(dir, SMALL, &finder, &journal, &err), -1);
	assert_null(journal);
	assert_non_null(strstr(err.text, "q/lock/journal.2"));
	queue_dir_close(&dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(found_again),
		TEST(forgotten),
		TEST(killed),
		TEST(full),
		TEST(room_for_ends),
		TEST(many_rounds),
		TEST(limits),
		TEST(other_size),
		TEST(not_opened),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
