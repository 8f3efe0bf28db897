/* SPDX-License-Identifier: ISC */
/* Tests of queue/journal.c, also with power cuts and failing disks. */
#include "queue/journal.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <inttypes.h>

#include "base/clock.h"
#include "base/mem.h"
#include "queue/journal_view.h"
#include "tests/unit/journal_disk.h"
#include "tests/unit/queue_folder.h"

enum { TEXT_MAX = JOURNAL_ENVELOPE_MAX };

struct bench {
	struct queue_dir *dir;
	struct journal *journal;
	int64_t now_ms;
};

static void
open_bench(struct bench *bench)
{
	disk_reset();
	bench->dir = make_queue("q", 3);
	bench->journal = disk_open_journal(bench->dir);
	bench->now_ms = clock_ms();
}

static void
close_bench(struct bench *bench)
{
	journal_close(&bench->journal);
	queue_dir_close(&bench->dir);
}

/* Adds an envelope that is the text. */
static void
add(struct bench *bench, uint64_t id, const char *text)
{
	struct journal_record record = {
		.id = id, .envelope = text, .length = strlen(text)
	};

	assert_true(journal_reserve(bench->journal, record.length));
	journal_add(bench->journal, &record);
}

/* What the committer does with a batch's records; 0 when they are durable. */
static int
sync_journal(struct journal *journal)
{
	int result = journal_write(journal);

	if (result == 0 && journal_begin_sync(journal)) {
		result = fdatasync(journal_fd(journal));
		journal_synced(journal, result == 0 ? 0 : errno);
	}
	return result;
}

/* The envelopes that a process which starts now would find: "1=a 2=b". */
static void
expect_view(struct bench *bench, const char *wanted)
{
	struct buf got = BUF_INIT;
	struct journal_view view;
	struct error err;

	assert_int_equal(journal_view_open(bench->dir, &view, &err), 0);
	assert_false(view.is_damaged);
	buf_init(&got);
	for (size_t i = 0; i < view.count; i++)
		buf_addf(&got, "%s%" PRIu64 "=%.*s", i > 0 ? " " : "",
		    view.records[i].id, (int)view.records[i].length,
		    view.records[i].envelope);
	assert_string_equal(got.data, wanted);
	buf_release(&got);
	journal_view_release(&view);
}

static void
expect_place(struct bench *bench, uint64_t id, enum journal_place wanted)
{
	assert_int_equal(journal_find(bench->journal, id), wanted);
}

/* Adds and ends until the half is full, and a bit more is refused. */
static void
fill_half(struct bench *bench)
{
	char text[TEXT_MAX];
	struct journal_record record = {
		.id = 1000000, .envelope = text, .length = TEXT_MAX
	};

	memset(text, 'x', TEXT_MAX);
	while (journal_reserve(bench->journal, TEXT_MAX)) {
		journal_add(bench->journal, &record);
		journal_end(bench->journal, record.id++);
		assert_int_equal(sync_journal(bench->journal), 0);
	}
}

static void
added_and_ended(void **state)
{
	struct bench bench;

	(void)state;
	open_bench(&bench);
	expect_view(&bench, "");
	assert_false(journal_has_unsynced(bench.journal));
	assert_int_equal(journal_next_ms(bench.journal), 0);
	add(&bench, 1, "a");
	add(&bench, 2, "b");
	expect_view(&bench, ""); /* not written yet */
	assert_true(journal_has_unsynced(bench.journal));
	assert_int_equal(journal_write(bench.journal), 0);
	expect_view(&bench, "1=a 2=b");
	assert_true(journal_has_unsynced(bench.journal));
	assert_int_equal(sync_journal(bench.journal), 0);
	assert_false(journal_has_unsynced(bench.journal));
	assert_true(
	    journal_next_ms(bench.journal) >= bench.now_ms + JOURNAL_STAY_MS);
	expect_place(&bench, 1, JOURNAL_HERE);
	expect_place(&bench, 3, JOURNAL_NOT);
	journal_end(bench.journal, 1);
	journal_end(bench.journal, 3); /* is not here: nothing */
	expect_place(&bench, 1, JOURNAL_NOT);
	assert_int_equal(sync_journal(bench.journal), 0);
	expect_view(&bench, "2=b");
	add(&bench, 1, "the next");
	assert_int_equal(sync_journal(bench.journal), 0);
	expect_view(&bench, "2=b 1=the next");
	close_bench(&bench);
}

/* One whose message was taken away by hand, and its number is used again. */
static void
added_twice(void **state)
{
	struct bench bench;

	(void)state;
	open_bench(&bench);
	add(&bench, 1, "old");
	add(&bench, 1, "new");
	assert_int_equal(sync_journal(bench.journal), 0);
	expect_view(&bench, "1=new");
	journal_end(bench.journal, 1);
	assert_int_equal(sync_journal(bench.journal), 0);
	expect_view(&bench, "");
	close_bench(&bench);
}

static void
stay_and_go(void **state)
{
	struct bench bench;

	(void)state;
	open_bench(&bench);
	add(&bench, 1, "a");
	assert_int_equal(sync_journal(bench.journal), 0);
	journal_tend(bench.journal, bench.now_ms + JOURNAL_STAY_MS - 1);
	expect_place(&bench, 1, JOURNAL_HERE);
	journal_tend(bench.journal, clock_ms() + JOURNAL_STAY_MS);
	expect_place(&bench, 1, JOURNAL_NOT);
	EXPECT_FILE(bench.dir, QUEUE_TODO, 1, "a");
	assert_int_equal(journal_next_ms(bench.journal), 0);
	/* Its end is written with the next batch. */
	assert_true(journal_has_unsynced(bench.journal));
	assert_int_equal(sync_journal(bench.journal), 0);
	expect_view(&bench, "");
	close_bench(&bench);
}

/* More than one batch waits for go by and by. */
static void
many_stay(void **state)
{
	enum { COUNT = 300, A_BATCH = 128 };
	int64_t late_ms;
	struct bench bench;
	unsigned i, there;

	(void)state;
	open_bench(&bench);
	for (i = 1; i <= COUNT; i++)
		add(&bench, i, "a");
	assert_int_equal(sync_journal(bench.journal), 0);
	late_ms = clock_ms() + JOURNAL_STAY_MS;
	for (there = COUNT; there > 0;) {
		unsigned next = there > A_BATCH ? there - A_BATCH : 0, left = 0;

		assert_true(journal_next_ms(bench.journal) <= late_ms);
		journal_tend(bench.journal, late_ms);
		for (i = 1; i <= COUNT; i++)
			left += journal_find(bench.journal, i) != JOURNAL_NOT;
		assert_int_equal(left, next);
		there = next;
	}
	for (i = 1; i <= COUNT; i++)
		EXPECT_FILE(bench.dir, QUEUE_TODO, i, "a");
	close_bench(&bench);
}

static void
too_large(void **state)
{
	struct bench bench;

	(void)state;
	open_bench(&bench);
	assert_true(journal_reserve(bench.journal, JOURNAL_ENVELOPE_MAX));
	assert_false(journal_reserve(bench.journal, JOURNAL_ENVELOPE_MAX + 1));
	close_bench(&bench);
}

/* Room that is not used is there again in the next batch. */
static void
reserved_in_vain(void **state)
{
	struct bench bench;
	unsigned count = 0;

	(void)state;
	open_bench(&bench);
	while (journal_reserve(bench.journal, JOURNAL_ENVELOPE_MAX))
		count++;
	assert_true(count > 200);
	journal_tend(bench.journal, bench.now_ms);
	while (
	    count > 0 && journal_reserve(bench.journal, JOURNAL_ENVELOPE_MAX))
		count--;
	assert_int_equal(count, 0);
	close_bench(&bench);
}

/* What waits in one half stays there; when the other is full it gets a file. */
static void
halves_turn(void **state)
{
	struct bench bench;

	(void)state;
	open_bench(&bench);
	add(&bench, 1, "a");
	add(&bench, 2, "b");
	fill_half(&bench);
	expect_view(&bench, "1=a 2=b");
	/* Ends always find room. */
	journal_end(bench.journal, 2);
	assert_int_equal(sync_journal(bench.journal), 0);
	journal_tend(bench.journal, bench.now_ms);
	expect_place(&bench, 1, JOURNAL_HERE);
	add(&bench, 3, "c");
	assert_int_equal(sync_journal(bench.journal), 0);
	expect_view(&bench, "1=a 3=c");
	fill_half(&bench);
	expect_view(&bench, "1=a 3=c");
	assert_false(has_file(bench.dir, QUEUE_TODO, 1, ""));
	journal_tend(bench.journal, bench.now_ms);
	EXPECT_FILE(bench.dir, QUEUE_TODO, 1, "a");
	expect_place(&bench, 1, JOURNAL_NOT);
	expect_place(&bench, 3, JOURNAL_HERE);
	expect_view(&bench, "3=c");
	close_bench(&bench);
}

/* todo/ cannot be written: the half that counts is not begun anew. */
static void
half_that_counts(void **state)
{
	struct bench bench;

	(void)state;
	open_bench(&bench);
	add(&bench, 1, "a");
	fill_half(&bench);
	journal_tend(bench.journal, bench.now_ms);
	fill_half(&bench);
	/* A folder has the name of the envelope file. */
	assert_int_equal(
	    mkdirat(queue_dir_fd(bench.dir, QUEUE_PID, 0), "1.e", 0700), 0);
	journal_tend(bench.journal, bench.now_ms);
	expect_view(&bench, "1=a");
	assert_false(journal_reserve(bench.journal, TEXT_MAX));
	/* Not again at once. */
	assert_int_equal(journal_next_ms(bench.journal), bench.now_ms + 1000);
	assert_int_equal(unlinkat(queue_dir_fd(bench.dir, QUEUE_PID, 0), "1.e",
			     AT_REMOVEDIR),
	    0);
	journal_tend(bench.journal, bench.now_ms + 999);
	assert_false(journal_reserve(bench.journal, TEXT_MAX));
	journal_tend(bench.journal, bench.now_ms + 1000);
	assert_true(journal_reserve(bench.journal, TEXT_MAX));
	EXPECT_FILE(bench.dir, QUEUE_TODO, 1, "a");
	close_bench(&bench);
}

/* A clean stop leaves files only. */
static void
closed(void **state)
{
	struct bench bench;

	(void)state;
	open_bench(&bench);
	add(&bench, 1, "a");
	assert_int_equal(sync_journal(bench.journal), 0);
	add(&bench, 2, "b");
	journal_end(bench.journal, 2);
	journal_close(&bench.journal);
	assert_null(bench.journal);
	expect_view(&bench, "");
	EXPECT_FILE(bench.dir, QUEUE_TODO, 1, "a");
	assert_false(has_file(bench.dir, QUEUE_TODO, 2, ""));
	close_bench(&bench);
}

/* A killed process's envelopes get files, over what is there. */
static void
killed(void **state)
{
	struct bench bench;

	(void)state;
	open_bench(&bench);
	add(&bench, 1, "a");
	add(&bench, 2, "b");
	add(&bench, 3, "c");
	journal_end(bench.journal, 3);
	assert_int_equal(journal_write(bench.journal), 0);
	add(&bench, 4, "never written");
	disk_kill(&bench.journal);
	put_file(bench.dir, QUEUE_TODO, 1, "half", 4);
	bench.journal = disk_open_journal(bench.dir);
	EXPECT_FILE(bench.dir, QUEUE_TODO, 1, "a");
	EXPECT_FILE(bench.dir, QUEUE_TODO, 2, "b");
	assert_false(has_file(bench.dir, QUEUE_TODO, 3, ""));
	assert_false(has_file(bench.dir, QUEUE_TODO, 4, ""));
	expect_view(&bench, "");
	expect_place(&bench, 1, JOURNAL_NOT);
	close_bench(&bench);
}

/* A disk that fails once: what was durable stays, and it goes on. */
static void
failing_disk(void **state)
{
	static const struct {
		const char *name;
		unsigned writes, syncs;
	} rows[] = { { "write", 1, 0 }, { "sync", 0, 1 } };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct bench bench;

		open_bench(&bench);
		add(&bench, 1, "a");
		add(&bench, 2, "b");
		assert_int_equal(sync_journal(bench.journal), 0);
		journal_end(bench.journal, 1);
		disk.failing_writes = rows[i].writes;
		disk.failing_syncs = rows[i].syncs;
		if (sync_journal(bench.journal) != -1)
			fail_msg("%s", rows[i].name);
		/* No other sync makes it durable, nor says so. */
		if (sync_journal(bench.journal) != -1)
			fail_msg("%s: the next sync", rows[i].name);
		assert_false(journal_reserve(bench.journal, 1));
		assert_int_equal(journal_next_ms(bench.journal), 1);
		assert_false(journal_has_unsynced(bench.journal));
		journal_tend(bench.journal, bench.now_ms);
		add(&bench, 3, "c");
		assert_int_equal(sync_journal(bench.journal), 0);
		disk_cut(bench.dir);
		expect_view(&bench, "2=b 3=c");
		close_bench(&bench);
		folder_teardown(NULL);
		folder_setup(NULL);
	}
}

/* The other half cannot be begun: nothing is lost, and it is tried again. */
static void
both_halves_fail(void **state)
{
	struct bench bench;

	(void)state;
	open_bench(&bench);
	add(&bench, 1, "a");
	add(&bench, 2, "b");
	assert_int_equal(sync_journal(bench.journal), 0);
	journal_end(bench.journal, 1);
	disk.failing_syncs = 2;
	assert_int_equal(sync_journal(bench.journal), -1);
	journal_tend(bench.journal, bench.now_ms);
	assert_int_equal(disk.failing_syncs, 0);
	assert_int_equal(sync_journal(bench.journal), -1);
	assert_false(journal_reserve(bench.journal, 1));
	assert_int_equal(journal_next_ms(bench.journal), bench.now_ms + 1000);
	journal_tend(bench.journal, bench.now_ms + 1000);
	assert_int_equal(sync_journal(bench.journal), 0);
	disk_cut(bench.dir);
	expect_view(&bench, "2=b");
	close_bench(&bench);
}

/* An end whose sync failed is seen by the next process, and is not durable. */
static void
lost_end(void **state)
{
	struct bench bench;

	(void)state;
	open_bench(&bench);
	disk.seed = 2; /* with which it does not reach the disk */
	add(&bench, 1, "old");
	assert_int_equal(sync_journal(bench.journal), 0);
	journal_end(bench.journal, 1);
	disk.failing_syncs = 1;
	assert_int_equal(sync_journal(bench.journal), -1);
	disk_kill(&bench.journal);
	expect_view(&bench, "");
	bench.journal = disk_open_journal(bench.dir);
	/* The number may serve again now.  Then the power is cut. */
	disk_kill(&bench.journal);
	disk_cut(bench.dir);
	expect_view(&bench, "");
	bench.journal = disk_open_journal(bench.dir);
	assert_false(has_file(bench.dir, QUEUE_TODO, 1, ""));
	close_bench(&bench);
}

static bool
has_in_lock(struct bench *bench, const char *name)
{
	return faccessat(
		   queue_dir_fd(bench->dir, QUEUE_LOCK, 0), name, F_OK, 0) == 0;
}

/* No half can be begun at the start: without a journal, and without its file.
 */
static void
cannot_begin(void **state)
{
	struct bench bench;
	struct error err;

	(void)state;
	for (unsigned good = 0; good < 2; good++) {
		open_bench(&bench);
		add(&bench, 1, "a");
		assert_int_equal(sync_journal(bench.journal), 0);
		disk_kill(&bench.journal);
		disk.failing_syncs = 1;
		disk.good_syncs = good;
		assert_int_equal(
		    journal_open(bench.dir, true, &bench.journal, &err), 0);
		assert_null(bench.journal);
		EXPECT_FILE(bench.dir, QUEUE_TODO, 1, "a");
		assert_false(has_in_lock(&bench, QUEUE_JOURNAL));
		bench.journal = disk_open_journal(bench.dir);
		expect_view(&bench, "");
		close_bench(&bench);
		folder_teardown(NULL);
		folder_setup(NULL);
	}
}

/* No room for the file. */
static void
cannot_make(void **state)
{
	struct bench bench;
	struct error err;

	(void)state;
	open_bench(&bench);
	journal_close(&bench.journal);
	assert_int_equal(
	    unlinkat(queue_dir_fd(bench.dir, QUEUE_LOCK, 0), QUEUE_JOURNAL, 0),
	    0);
	assert_int_equal(mkdirat(queue_dir_fd(bench.dir, QUEUE_LOCK, 0),
			     QUEUE_JOURNAL ".new", 0700),
	    0);
	assert_int_equal(
	    journal_open(bench.dir, true, &bench.journal, &err), 0);
	assert_null(bench.journal);
	close_bench(&bench);
}

/* What is in it cannot get files: nobody may work in the queue. */
static void
cannot_take_over(void **state)
{
	struct bench bench;
	struct error err = { "" };

	(void)state;
	open_bench(&bench);
	add(&bench, 1, "a");
	assert_int_equal(sync_journal(bench.journal), 0);
	disk_kill(&bench.journal);
	assert_int_equal(
	    mkdirat(queue_dir_fd(bench.dir, QUEUE_PID, 0), "1.e", 0700), 0);
	assert_int_equal(
	    journal_open(bench.dir, true, &bench.journal, &err), -1);
	assert_null(bench.journal);
	assert_non_null(strstr(err.text, "/pid/1.e'"));
	expect_view(&bench, "1=a");
	close_bench(&bench);
}

/* The file with this number in mess/ is another message. */
static void
not_its_message(void **state)
{
	struct bench bench;
	char name[64];
	uint64_t id;

	(void)state;
	open_bench(&bench);
	id = put_message(bench.dir, "another");
	add(&bench, id, "a"); /* of a message of no bytes */
	assert_int_equal(sync_journal(bench.journal), 0);
	disk_kill(&bench.journal);
	bench.journal = disk_open_journal(bench.dir);
	expect_view(&bench, "");
	assert_false(has_file(bench.dir, QUEUE_TODO, id, ""));
	snprintf(name, sizeof(name), "envelope.%" PRIu64, id);
	assert_true(has_in_lock(&bench, name));
	close_bench(&bench);
}

/*
 * A message that has no file was never acknowledged, and its number is free;
 * but in a repair it may be in another folder.
 */
static void
without_its_message(void **state)
{
	struct bench bench;
	struct error err;

	(void)state;
	for (int is_repair = 0; is_repair < 2; is_repair++) {
		open_bench(&bench);
		add(&bench, 1, "a");
		assert_int_equal(sync_journal(bench.journal), 0);
		disk_kill(&bench.journal);
		assert_int_equal(
		    journal_open(bench.dir, is_repair, &bench.journal, &err),
		    0);
		assert_int_equal(
		    has_file(bench.dir, QUEUE_TODO, 1, ""), is_repair);
		expect_view(&bench, "");
		close_bench(&bench);
		assert_int_equal(file_remove_tree(folder_path("q"), &err), 0);
	}
}

/* Something is wrong between two records: both count, and it is kept. */
static void
damaged(void **state)
{
	struct bench bench;
	char zero = 0;
	int fd;

	(void)state;
	open_bench(&bench);
	add(&bench, 1, "a");
	add(&bench, 2, "b");
	add(&bench, 3, "c");
	assert_int_equal(sync_journal(bench.journal), 0);
	disk_kill(&bench.journal);
	fd = disk_open(bench.dir);
	for (off_t half = 0; half < DISK_BYTES; half += JOURNAL_HALF_BYTES)
		assert_true(disk_write(fd, &zero, 1,
		    half + JOURNAL_HEADER_BYTES + JOURNAL_BEFORE_ENVELOPE + 1 +
			JOURNAL_BEFORE_ENVELOPE));
	close(fd);
	bench.journal = disk_open_journal(bench.dir);
	EXPECT_FILE(bench.dir, QUEUE_TODO, 1, "a");
	assert_false(has_file(bench.dir, QUEUE_TODO, 2, ""));
	EXPECT_FILE(bench.dir, QUEUE_TODO, 3, "c");
	assert_true(has_in_lock(&bench, QUEUE_DAMAGED "1"));
	expect_view(&bench, "");
	close_bench(&bench);
}

/* What is read back is checked: it would be the envelope of a message. */
static void
overwritten(void **state)
{
	static const struct {
		const char *name;
		int at; /* of a byte in the record of 1 */
	} rows[] = { { "its id", 17 },
		{ "its envelope", JOURNAL_BEFORE_ENVELOPE } };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct bench bench;
		char byte = 'x';
		int fd;

		open_bench(&bench);
		add(&bench, 1, "a");
		assert_int_equal(sync_journal(bench.journal), 0);
		fd = disk_open(bench.dir);
		for (off_t half = 0; half < DISK_BYTES;
		     half += JOURNAL_HALF_BYTES)
			assert_true(disk_write(fd, &byte, 1,
			    half + JOURNAL_HEADER_BYTES + rows[i].at));
		close(fd);
		journal_tend(bench.journal, clock_ms() + JOURNAL_STAY_MS);
		if (has_file(bench.dir, QUEUE_TODO, 1, ""))
			fail_msg("%s", rows[i].name);
		/* It ends as any other. */
		expect_place(&bench, 1, JOURNAL_HERE);
		journal_end(bench.journal, 1);
		assert_int_equal(sync_journal(bench.journal), 0);
		close_bench(&bench);
		folder_teardown(NULL);
		folder_setup(NULL);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(added_and_ended),
		TEST(added_twice),
		TEST(stay_and_go),
		TEST(many_stay),
		TEST(too_large),
		TEST(reserved_in_vain),
		TEST(halves_turn),
		TEST(half_that_counts),
		TEST(closed),
		TEST(killed),
		TEST(failing_disk),
		TEST(both_halves_fail),
		TEST(lost_end),
		TEST(cannot_begin),
		TEST(cannot_make),
		TEST(cannot_take_over),
		TEST(not_its_message),
		TEST(without_its_message),
		TEST(damaged),
		TEST(overwritten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
