/* SPDX-License-Identifier: ISC */
/*
 * Tests of queue/commit_step.c with a journal: new messages, their ends, and
 * what a disk that fails, a kill or a power cut between leaves.
 */
#include "queue/commit_step.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "queue/exitcode.h"
#include "queue/journal_view.h"
#include "tests/unit/journal_disk.h"
#include "tests/unit/queue_folder.h"

enum { POOL_MAX = 40 };

#define RECORD "u1\0p2\0Fs@x\0Ta@b"

struct bench {
	struct queue_dir *dir;
	struct spare_pool *pool;
	struct sync_pool *syncs;
	struct journal *journal;
	struct commit_batch batch;
	int64_t later_ms; /* than now it is */
};

static void
begin_process(struct bench *bench)
{
	struct error err;

	bench->journal = disk_open_journal(bench->dir);
	bench->pool = spare_pool_new(bench->dir, POOL_MAX);
	if (spare_pool_adopt(bench->pool, &err) == -1)
		fail_msg("%s", err.text);
	commit_batch_init(
	    &bench->batch, bench->dir, bench->pool, bench->journal);
	bench->later_ms = 0;
}

static void
end_process(struct bench *bench)
{
	commit_batch_release(&bench->batch);
	spare_pool_free(&bench->pool);
}

static void
open_bench(struct bench *bench)
{
	disk_reset();
	bench->dir = make_queue("q", 3);
	bench->syncs = sync_pool_new(0);
	begin_process(bench);
}

static void
close_bench(struct bench *bench)
{
	journal_close(&bench->journal);
	end_process(bench);
	sync_pool_free(&bench->syncs);
	queue_dir_close(&bench->dir);
}

/* The process is killed, with or without the power; the next one starts. */
static void
start_again(struct bench *bench, bool has_power)
{
	disk_kill(&bench->journal);
	if (!has_power)
		disk_cut(bench->dir);
	end_process(bench);
	begin_process(bench);
}

/* A batch as the committer does it; failing_fd, or -1, is of the last sync. */
static void
run_batch(
    struct bench *bench, struct commit_job **jobs, size_t count, int failing_fd)
{
	struct commit_batch *batch = &bench->batch;
	size_t i;

	commit_begin(batch, clock_ms() + bench->later_ms);
	for (i = 0; i < count; i++)
		commit_write(batch, jobs[i]);
	sync_pool_run(bench->syncs, batch->syncs, batch->sync_count);
	commit_check_syncs(batch);
	for (i = 0; i < count; i++)
		if (jobs[i]->result == QQ_OK)
			commit_place(batch, jobs[i]);
	if (commit_needs_folder_sync(batch, clock_us())) {
		commit_gather_folders(batch);
		sync_pool_run(bench->syncs, batch->syncs, batch->sync_count);
		for (i = 0; i < batch->sync_count; i++)
			if (batch->syncs[i].fd == failing_fd)
				batch->syncs[i].error = EIO;
		commit_check_syncs(batch);
		commit_release_pairs(batch);
	}
	for (i = 0; i < count; i++)
		commit_end(batch, jobs[i]);
	commit_write_journal(batch);
}

/* One without jobs, in which all that waits is synced. */
static void
run_sync(struct bench *bench)
{
	commit_want_folder_sync(&bench->batch);
	run_batch(bench, NULL, 0, -1);
}

static struct commit_job *
make_new(struct bench *bench, const char *record, size_t length)
{
	struct commit_job *job = commit_job_new(COMMIT_NEW, 0);
	struct error err;

	if (spare_take(bench->pool, &job->spare, &err) == -1)
		fail_msg("%s", err.text);
	job->id = job->spare.id;
	buf_add(&job->text[COMMIT_RECORD], record, length);
	return job;
}

static struct commit_job *
new_message(struct bench *bench)
{
	struct commit_job *job = make_new(bench, RECORD, sizeof(RECORD));

	run_batch(bench, &job, 1, -1);
	assert_int_equal(job->result, QQ_OK);
	return job;
}

/* The job that ends what another one began; takes that. */
static struct commit_job *
next_job(struct commit_job **from, enum commit_type type)
{
	struct commit_job *job = commit_job_new(type, (*from)->id);

	if (type == COMMIT_FINISH) {
		job->spare = (*from)->spare;
		(*from)->spare = (struct spare)SPARE_NONE;
	}
	if (type == COMMIT_REMEMBER) {
		buf_add(&job->text[COMMIT_RECORD], "Fs@x", 5);
		buf_add(&job->text[COMMIT_LOCAL], "Ta@b", 5);
		job->birth = 1000000000;
	}
	commit_job_free(from);
	return job;
}

static bool
is_in_todo(struct bench *bench, uint64_t id)
{
	return has_file(bench->dir, QUEUE_TODO, id, "");
}

static void
expect_place(struct bench *bench, uint64_t id, enum journal_place wanted)
{
	assert_int_equal(journal_find(bench->journal, id), wanted);
}

/* Does the pair of this number serve again? */
static bool
serves_again(struct bench *bench, uint64_t id)
{
	struct spare spares[POOL_MAX];
	bool result = false;
	struct error err;

	for (size_t i = 0; i < POOL_MAX; i++) {
		assert_int_equal(spare_take(bench->pool, &spares[i], &err), 0);
		result |= spares[i].id == id;
	}
	for (size_t i = 0; i < POOL_MAX; i++)
		if (spares[i].id == id)
			spare_give(bench->pool, &spares[i]);
		else
			spare_discard(bench->pool, &spares[i]);
	return result;
}

/* -- tests */

static void
new_and_finished(void **state)
{
	struct commit_job *job;
	struct bench bench;
	uint64_t id;

	(void)state;
	open_bench(&bench);
	job = new_message(&bench);
	id = job->id;
	assert_true(job->is_journaled);
	assert_false(is_in_todo(&bench, id));
	expect_place(&bench, id, JOURNAL_HERE);
	assert_false(commit_has_waiting(&bench.batch));
	job = next_job(&job, COMMIT_FINISH);
	run_batch(&bench, &job, 1, -1);
	assert_int_equal(job->result, QQ_OK);
	expect_place(&bench, id, JOURNAL_NOT);
	/* Not durable: it waits, and only then serves. */
	assert_true(commit_has_waiting(&bench.batch));
	assert_true(
	    commit_due_us(&bench.batch) <= clock_us() + COMMIT_LINGER_US);
	assert_false(serves_again(&bench, id));
	run_sync(&bench);
	assert_false(commit_has_waiting(&bench.batch));
	assert_int_equal(commit_due_us(&bench.batch), 0);
	assert_true(serves_again(&bench, id));
	commit_job_free(&job);
	close_bench(&bench);
}

/* What cannot be in the journal has its file at once. */
static void
files_at_once(void **state)
{
	static const struct {
		const char *name;
		size_t length;
		bool wants_file, is_journaled;
	} rows[] = {
		{ "as most are", sizeof(RECORD), false, true },
		{ "not to be in memory", sizeof(RECORD), true, false },
		{ "the largest", JOURNAL_ENVELOPE_MAX, false, true },
		{ "a larger one", JOURNAL_ENVELOPE_MAX + 1, false, false },
	};
	static char record[JOURNAL_ENVELOPE_MAX + 1];
	struct bench bench;

	(void)state;
	open_bench(&bench);
	memset(record, 'x', sizeof(record));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct commit_job *job = make_new(
		    &bench, record, rows[i].length);
		uint64_t id = job->id;

		job->wants_file = rows[i].wants_file;
		run_batch(&bench, &job, 1, -1);
		assert_int_equal(job->result, QQ_OK);
		if (job->is_journaled != rows[i].is_journaled ||
		    is_in_todo(&bench, id) == rows[i].is_journaled)
			fail_msg("%s", rows[i].name);
		if (!rows[i].is_journaled)
			expect_file(
			    bench.dir, QUEUE_TODO, id, record, rows[i].length);
		job = next_job(&job, COMMIT_FINISH);
		run_batch(&bench, &job, 1, -1);
		assert_false(is_in_todo(&bench, id));
		expect_place(&bench, id, JOURNAL_NOT);
		run_sync(&bench);
		assert_true(serves_again(&bench, id));
		commit_job_free(&job);
	}
	close_bench(&bench);
}

/* What stays gets its file, whose removal is its end then. */
static void
finished_after_its_stay(void **state)
{
	struct commit_job *job;
	struct bench bench;
	uint64_t id;

	(void)state;
	open_bench(&bench);
	job = new_message(&bench);
	id = job->id;
	bench.later_ms = JOURNAL_STAY_MS + 1000;
	job = next_job(&job, COMMIT_FINISH);
	commit_begin(&bench.batch, clock_ms() + bench.later_ms);
	EXPECT_FILE(bench.dir, QUEUE_TODO, id, RECORD "\0");
	expect_place(&bench, id, JOURNAL_NOT);
	run_batch(&bench, &job, 1, -1);
	assert_int_equal(job->result, QQ_OK);
	assert_false(is_in_todo(&bench, id));
	run_sync(&bench);
	assert_true(serves_again(&bench, id));
	start_again(&bench, true);
	assert_false(is_in_todo(&bench, id));
	commit_job_free(&job);
	close_bench(&bench);
}

static void
remembered(void **state)
{
	static const struct {
		const char *name;
		int64_t later_ms;
	} rows[] = { { "at once", 0 }, { "late", JOURNAL_STAY_MS + 1000 } };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct commit_job *job, *forget;
		struct bench bench;
		uint64_t id;

		open_bench(&bench);
		job = new_message(&bench);
		id = job->id;
		bench.later_ms = rows[i].later_ms;
		job = next_job(&job, COMMIT_REMEMBER);
		run_batch(&bench, &job, 1, -1);
		assert_int_equal(job->result, QQ_OK);
		EXPECT_FILE(bench.dir, QUEUE_LOCAL, id, "Ta@b\0");
		if (is_in_todo(&bench, id) ||
		    has_file(bench.dir, QUEUE_PID, id, ".e"))
			fail_msg("%s", rows[i].name);
		/* The end is written, and so outlives the process. */
		start_again(&bench, true);
		assert_true(has_file(bench.dir, QUEUE_INFO, id, ""));
		assert_false(is_in_todo(&bench, id));
		assert_false(serves_again(&bench, id));
		forget = commit_job_new(COMMIT_FORGET, id);
		run_batch(&bench, &forget, 1, -1);
		assert_int_equal(forget->result, QQ_OK);
		assert_true(has_file(bench.dir, QUEUE_MESS, id, ""));
		run_sync(&bench);
		assert_false(has_file(bench.dir, QUEUE_MESS, id, ""));
		commit_job_free(&job);
		commit_job_free(&forget);
		close_bench(&bench);
		folder_teardown(NULL);
		folder_setup(NULL);
	}
}

/* Nobody hears 250, and nothing of it comes back once that is durable. */
static void
undone(void **state)
{
	static const struct {
		const char *name;
		unsigned writes, syncs; /* of the journal that fail */
		bool folder;            /* its sync fails */
		int wanted;
	} rows[] = {
		{ "write", 1, 0, false, QQ_SYNC },
		{ "sync", 0, 1, false, QQ_SYNC },
		{ "folder", 0, 0, true, QQ_SYNC_FOLDER },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct commit_job *job;
		struct bench bench;
		uint64_t id;

		open_bench(&bench);
		job = make_new(&bench, RECORD, sizeof(RECORD));
		id = job->id;
		disk.failing_writes = rows[i].writes;
		disk.failing_syncs = rows[i].syncs;
		run_batch(&bench, &job, 1,
		    rows[i].folder ? queue_dir_fd(bench.dir, QUEUE_MESS, id)
				   : -1);
		if (job->result != rows[i].wanted)
			fail_msg("%s: %d", rows[i].name, job->result);
		expect_place(&bench, id, JOURNAL_NOT);
		/* Its number is not free before its end is durable. */
		assert_true(has_file(bench.dir, QUEUE_MESS, id, ""));
		run_sync(&bench);
		assert_false(has_file(bench.dir, QUEUE_MESS, id, ""));
		start_again(&bench, false);
		assert_false(is_in_todo(&bench, id));
		commit_job_free(&job);
		close_bench(&bench);
		folder_teardown(NULL);
		folder_setup(NULL);
	}
}

/* In one batch with a failing journal: what has a file is queued. */
static void
file_beside_a_failing_journal(void **state)
{
	struct commit_job *jobs[2];
	struct bench bench;

	(void)state;
	open_bench(&bench);
	for (int i = 0; i < 2; i++)
		jobs[i] = make_new(&bench, RECORD, sizeof(RECORD));
	jobs[1]->wants_file = true;
	disk.failing_syncs = 1;
	run_batch(&bench, jobs, 2, -1);
	assert_int_equal(jobs[0]->result, QQ_SYNC);
	assert_int_equal(jobs[1]->result, QQ_OK);
	start_again(&bench, false);
	assert_true(is_in_todo(&bench, jobs[1]->id));
	for (int i = 0; i < 2; i++)
		commit_job_free(&jobs[i]);
	close_bench(&bench);
}

/*
 * The end is not durable, although the next sync, which has nothing to write,
 * does not fail: the pair does not serve again before the next start.
 */
static void
end_that_fails(void **state)
{
	static const struct {
		const char *name;
		unsigned writes, syncs;
		bool serves; /* in the end */
	} rows[] = {
		{ "all is well", 0, 0, true },
		{ "sync", 0, 1, false },
		{ "write, then the other half is good", 1, 0, true },
		{ "sync, and the other half's", 0, 2, false },
		{ "sync, and the other half's for long", 0, 9, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct commit_job *job;
		struct bench bench;
		uint64_t id;

		open_bench(&bench);
		job = new_message(&bench);
		id = job->id;
		job = next_job(&job, COMMIT_FINISH);
		disk.failing_writes = rows[i].writes;
		run_batch(&bench, &job, 1, -1);
		assert_int_equal(job->result, QQ_OK);
		disk.failing_syncs = rows[i].syncs;
		for (int more = 0; more < 3; more++) {
			run_sync(&bench);
			bench.later_ms += 2000;
		}
		if (serves_again(&bench, id) != rows[i].serves)
			fail_msg("%s", rows[i].name);
		assert_true(has_file(bench.dir, QUEUE_MESS, id, ""));
		disk.failing_syncs = 0;
		start_again(&bench, true);
		/* Over, or queued again: nobody's else. */
		if (serves_again(&bench, id) == is_in_todo(&bench, id))
			fail_msg("%s: after the start", rows[i].name);
		commit_job_free(&job);
		close_bench(&bench);
		folder_teardown(NULL);
		folder_setup(NULL);
	}
}

/* While the journal is broken new messages have files, and serve nobody. */
static void
broken_for_long(void **state)
{
	struct commit_job *job, *old;
	struct bench bench;
	uint64_t id;

	(void)state;
	open_bench(&bench);
	old = new_message(&bench);
	disk.failing_syncs = 1000;
	job = make_new(&bench, RECORD, sizeof(RECORD));
	run_batch(&bench, &job, 1, -1);
	assert_int_equal(job->result, QQ_SYNC);
	commit_job_free(&job);
	job = make_new(&bench, RECORD, sizeof(RECORD));
	id = job->id;
	run_batch(&bench, &job, 1, -1);
	assert_int_equal(job->result, QQ_OK);
	assert_true(is_in_todo(&bench, id));
	/* What was in the journal before is still. */
	disk.failing_syncs = 0;
	start_again(&bench, false);
	assert_true(is_in_todo(&bench, id));
	assert_true(is_in_todo(&bench, old->id));
	commit_job_free(&job);
	commit_job_free(&old);
	close_bench(&bench);
}

/* -- at random */

enum { LIVES = 4000, TAG_BYTES = 8 };

enum life {
	NOBODY, /* not accepted, or over */
	QUEUED, /* accepted */
	REMEMBERED,
	FORGOTTEN /* over, but may come back until that is durable */
};

struct world {
	struct bench bench;
	uint64_t ids[LIVES];
	enum life lives[LIVES];
	struct commit_job *jobs[LIVES]; /* with the pairs of those queued */
	size_t count, restarts, reused;
};

/* The message and its envelope have the same tag, and no others have it. */
static struct commit_job *
make_tagged(struct world *world)
{
	char tag[TAG_BYTES + 1], record[sizeof(RECORD) + TAG_BYTES];
	struct commit_job *job;
	size_t i;

	snprintf(tag, sizeof(tag), "%08zu", world->count);
	memcpy(record, tag, TAG_BYTES);
	memcpy(record + TAG_BYTES, RECORD, sizeof(RECORD));
	job = make_new(&world->bench, record, sizeof(record));
	assert_int_equal(
	    pwrite(job->spare.mess_fd, tag, TAG_BYTES, 0), TAG_BYTES);
	job->size_bytes = TAG_BYTES;
	job->wants_file = disk_random(8) == 0;
	for (i = 0; i < world->count; i++)
		if (world->ids[i] == job->id) {
			assert_int_not_equal(world->lives[i], QUEUED);
			assert_int_not_equal(world->lives[i], REMEMBERED);
			world->reused++;
			world->ids[i] = 0;
		}
	world->ids[world->count] = job->id;
	return job;
}

static struct commit_job *
end_tagged(struct world *world, size_t life)
{
	struct commit_job *job;

	if (world->lives[life] == REMEMBERED)
		return commit_job_new(COMMIT_FORGET, world->ids[life]);
	job = next_job(&world->jobs[life],
	    disk_random(3) == 0 ? COMMIT_REMEMBER : COMMIT_FINISH);
	job->has_leftovers = has_file(
	    world->bench.dir, QUEUE_INFO, job->id, "");
	if (job->type == COMMIT_REMEMBER) {
		buf_reset(&job->text[COMMIT_RECORD]);
		buf_addf(&job->text[COMMIT_RECORD], "%08zu", life);
	}
	return job;
}

static void
job_is_done(struct world *world, size_t life, struct commit_job *job)
{
	if (job->type == COMMIT_NEW) {
		if (job->result == QQ_OK) {
			world->lives[life] = QUEUED;
			world->jobs[life] = job;
			return;
		}
	} else if (job->result != QQ_OK)
		fail_msg("%s", job->err.text); /* only the journal fails */
	else if (job->type == COMMIT_REMEMBER)
		world->lives[life] = REMEMBERED;
	else
		world->lives[life] = FORGOTTEN;
	commit_job_free(&job);
}

/* Those that stay get files, but for one, and so are tried again. */
static void
fail_to_fill(struct world *world)
{
	disk.good_files = 1 + disk_random(6);
	commit_begin(&world->bench.batch,
	    clock_ms() + JOURNAL_STAY_MS + 1000 + disk_random(20000));
	disk.good_files = 0;
}

static void
random_batch(struct world *world)
{
	enum { JOBS = 8 };
	struct commit_job *jobs[JOBS];
	size_t lives[JOBS], count = 0, i;

	disk.failing_syncs = disk_random(8) == 0 ? disk_random(4) : 0;
	disk.failing_writes = disk_random(16) == 0 ? disk_random(3) : 0;
	world->bench.later_ms = disk_random(8) == 0
	    ? 2 * JOURNAL_STAY_MS + disk_random(20000)
	    : 0;
	if (disk_random(8) == 0)
		fail_to_fill(world);
	for (i = 0; i < world->count && count < JOBS / 2; i++)
		if ((world->lives[i] == QUEUED ||
			world->lives[i] == REMEMBERED) &&
		    disk_random(3) == 0) {
			lives[count] = i;
			jobs[count++] = end_tagged(world, i);
		}
	while (count < JOBS && disk_random(4) != 0 && world->count < LIVES) {
		lives[count] = world->count;
		jobs[count++] = make_tagged(world);
		world->count++;
	}
	if (disk_random(3) == 0)
		commit_want_folder_sync(&world->bench.batch);
	run_batch(&world->bench, jobs, count, -1);
	for (i = 0; i < count; i++)
		job_is_done(world, lives[i], jobs[i]);
	disk.failing_syncs = disk.failing_writes = 0;
}

/* The tag of a file's front, or -1 when it is not there. */
static long
read_tag(struct world *world, enum queue_folder kind, uint64_t id)
{
	int fd = queue_open_file(world->bench.dir, kind, id, O_RDONLY);
	char tag[TAG_BYTES + 1] = "";
	ssize_t n;

	if (fd == -1)
		return -1;
	n = pread(fd, tag, TAG_BYTES, 0);
	close(fd);
	return n == TAG_BYTES ? strtol(tag, NULL, 10) : -2;
}

/* What is in todo/ or info/ belongs to its message, and nothing is lost. */
static void
check_files(struct world *world)
{
	for (size_t i = 0; i < world->count; i++) {
		uint64_t id = world->ids[i];
		long tag = (long)i, todo, info;

		if (id == 0) /* its number serves another one */
			continue;
		todo = read_tag(world, QUEUE_TODO, id);
		info = read_tag(world, QUEUE_INFO, id);
		if ((todo != -1 && todo != tag) || (info != -1 && info != tag))
			fail_msg(
			    "%zu has another's envelope: todo %ld info %ld", i,
			    todo, info);
		if (world->lives[i] == QUEUED && todo == -1 && info == -1)
			fail_msg("%zu is lost", i);
		if (world->lives[i] == REMEMBERED && info == -1)
			fail_msg("%zu is forgotten", i);
		if ((todo != -1 || info != -1) &&
		    read_tag(world, QUEUE_MESS, id) != tag)
			fail_msg("%zu has another's message", i);
	}
}

/* As the scanner does it; an envelope that came back is queued again. */
static void
load(struct world *world)
{
	for (size_t i = 0; i < world->count; i++) {
		struct commit_job *job = NULL;
		uint64_t id = world->ids[i];

		commit_job_free(&world->jobs[i]);
		if (id == 0)
			continue;
		if (read_tag(world, QUEUE_TODO, id) == -1) {
			world->lives[i] = read_tag(world, QUEUE_INFO, id) == -1
			    ? NOBODY
			    : REMEMBERED;
			continue;
		}
		world->lives[i] = QUEUED;
		job = commit_job_new(COMMIT_NEW, id);
		job->spare.mess_fd = queue_open_file(
		    world->bench.dir, QUEUE_MESS, id, O_RDWR);
		job->spare.envelope_fd = queue_open_file(
		    world->bench.dir, QUEUE_TODO, id, O_RDWR);
		world->jobs[i] = job;
	}
}

static void
at_random(void **state)
{
	static struct world world;
	const char *seed = getenv("MQMAIL_SEED");

	(void)state;
	memset(&world, 0, sizeof(world));
	open_bench(&world.bench);
	disk.seed = seed == NULL ? 3 : strtoull(seed, NULL, 10);
	while (world.count < LIVES) {
		for (unsigned i = disk_random(40); i > 0; i--)
			random_batch(&world);
		if (disk_random(4) == 0)
			disk_drop_pages(world.bench.dir);
		start_again(&world.bench, disk_random(2) == 0);
		check_files(&world);
		load(&world);
		world.restarts++;
	}
	for (size_t i = 0; i < world.count; i++)
		commit_job_free(&world.jobs[i]);
	close_bench(&world.bench);
	assert_true(world.restarts > 20);
	assert_true(world.reused > LIVES / 4);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(new_and_finished),
		TEST(files_at_once),
		TEST(finished_after_its_stay),
		TEST(remembered),
		TEST(undone),
		TEST(file_beside_a_failing_journal),
		TEST(end_that_fails),
		TEST(broken_for_long),
		TEST(at_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
