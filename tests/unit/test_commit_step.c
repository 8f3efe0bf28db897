/* SPDX-License-Identifier: ISC */
/* Tests of queue/commit_step.c: whose failure a folder's sync is. */
#include "queue/commit_step.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "queue/exitcode.h"
#include "tests/unit/queue_folder.h"

#define RECORD "u1\0p2\0Fs@x\0Ta@b"

struct bench {
	struct queue_dir *dir;
	struct spare_pool *pool;
	struct sync_pool *syncs;
	struct commit_batch batch;
};

static void
open_bench(struct bench *bench)
{
	bench->dir = make_queue("q", 3);
	bench->pool = spare_pool_new(bench->dir, 8);
	bench->syncs = sync_pool_new(0);
	commit_batch_init(&bench->batch, bench->dir, bench->pool, NULL);
}

static void
close_bench(struct bench *bench)
{
	commit_batch_release(&bench->batch);
	sync_pool_free(&bench->syncs);
	spare_pool_free(&bench->pool);
	queue_dir_close(&bench->dir);
}

/*
 * Syncs; that of failing_fd, or -1, fails as the kernel has it: its first sync
 * in this round gets the error, any other one of the same open file does not.
 */
static void
sync_round(struct bench *bench, int failing_fd)
{
	struct commit_batch *batch = &bench->batch;

	sync_pool_run(bench->syncs, batch->syncs, batch->sync_count);
	for (size_t i = 0; i < batch->sync_count; i++)
		if (batch->syncs[i].fd == failing_fd) {
			batch->syncs[i].error = EIO;
			break;
		}
	commit_check_syncs(batch);
}

static void
sync_late(struct bench *bench)
{
	commit_gather_folders(&bench->batch);
	sync_round(bench, -1);
	commit_release_pairs(&bench->batch);
}

/* A batch as the committer does it; failing_fd is of the first round. */
static void
run_batch(
    struct bench *bench, struct commit_job **jobs, size_t count, int failing_fd)
{
	struct commit_batch *batch = &bench->batch;
	size_t i;

	commit_begin(batch, clock_ms());
	for (i = 0; i < count; i++)
		commit_write(batch, jobs[i]);
	sync_round(bench, failing_fd);
	for (i = 0; i < count; i++)
		if (jobs[i]->result == QQ_OK)
			commit_place(batch, jobs[i]);
	if (commit_needs_folder_sync(batch, 1))
		sync_late(bench);
	for (i = 0; i < count; i++)
		commit_end(batch, jobs[i]);
}

/* A message in S4; its pair is in job. */
static void
queue_one(struct bench *bench, struct commit_job **job_out)
{
	struct commit_job *job = commit_job_new(COMMIT_NEW, 0);
	struct commit_job *finish;

	assert_int_equal(spare_take(bench->pool, &job->spare, NULL), 0);
	job->id = job->spare.id;
	buf_add(&job->text[COMMIT_RECORD], RECORD, sizeof(RECORD));
	run_batch(bench, &job, 1, -1);
	assert_int_equal(job->result, QQ_OK);
	finish = commit_job_new(COMMIT_FINISH, job->id);
	finish->spare = job->spare;
	job->spare = (struct spare)SPARE_NONE;
	commit_job_free(&job);
	*job_out = finish;
}

static struct commit_job *
mark_one(struct bench *bench)
{
	struct commit_job *job = commit_job_new(
	    COMMIT_MARK, put_message(bench->dir, "x"));

	put_file(bench->dir, QUEUE_LOCAL, job->id, "Ta\0", 3);
	job->channel = QUEUE_LOCAL;
	job->marks = calloc(1, sizeof(*job->marks));
	job->mark_count = 1;
	buf_adds(&job->text[COMMIT_BOUNCE], "<a>:\nno\n\n");
	return job;
}

/* Two failures are noted at once, and the names of neither are durable. */
static void
notes_of_two(void **state)
{
	struct commit_job *jobs[2];
	struct bench bench;

	(void)state;
	open_bench(&bench);
	for (int i = 0; i < 2; i++)
		jobs[i] = mark_one(&bench);
	run_batch(&bench, jobs, 2, queue_dir_fd(bench.dir, QUEUE_BOUNCE, 0));
	for (int i = 0; i < 2; i++) {
		assert_int_equal(jobs[i]->result, QQ_SYNC_FOLDER);
		assert_false(jobs[i]->is_note_kept);
		EXPECT_FILE(bench.dir, QUEUE_LOCAL, jobs[i]->id, "Ta\0");
		assert_false(
		    has_file(bench.dir, QUEUE_BOUNCE, jobs[i]->id, ""));
	}
	/* The next time nothing fails. */
	run_batch(&bench, jobs, 2, -1);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(jobs[i]->result, QQ_OK);
		EXPECT_FILE(bench.dir, QUEUE_LOCAL, jobs[i]->id, "Da\0");
		EXPECT_FILE(
		    bench.dir, QUEUE_BOUNCE, jobs[i]->id, "<a>:\nno\n\n");
		commit_job_free(&jobs[i]);
	}
	close_bench(&bench);
}

/* Two messages with files of an S5 that was begun: both keep their envelope. */
static void
leftovers_of_two(void **state)
{
	struct commit_job *jobs[2];
	struct bench bench;

	(void)state;
	open_bench(&bench);
	for (int i = 0; i < 2; i++) {
		queue_one(&bench, &jobs[i]);
		jobs[i]->has_leftovers = true;
		put_file(bench.dir, QUEUE_BOUNCE, jobs[i]->id, "x", 1);
	}
	run_batch(&bench, jobs, 2, queue_dir_fd(bench.dir, QUEUE_BOUNCE, 0));
	for (int i = 0; i < 2; i++) {
		assert_int_equal(jobs[i]->result, QQ_SYNC_FOLDER);
		assert_true(has_file(bench.dir, QUEUE_TODO, jobs[i]->id, ""));
		commit_job_free(&jobs[i]);
	}
	close_bench(&bench);
}

/*
 * The early sync has failed, and the late one of the same folders says nothing
 * of it: a pair that waits for them does not serve again.
 */
static void
early_failure_keeps_pairs(void **state)
{
	static const struct {
		const char *name;
		bool fails;
	} rows[] = { { "good", false }, { "failed", true } };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct commit_job *jobs[2];
		struct spare spare;
		struct bench bench;
		uint64_t id;

		open_bench(&bench);
		queue_one(&bench, &jobs[0]);
		id = jobs[0]->id;
		jobs[1] = mark_one(&bench);
		run_batch(&bench, jobs, 2,
		    rows[i].fails ? queue_dir_fd(bench.dir, QUEUE_BOUNCE, 0)
				  : -1);
		assert_int_equal(jobs[0]->result, QQ_OK);
		/* The next batch, in which nothing fails. */
		commit_want_folder_sync(&bench.batch);
		run_batch(&bench, NULL, 0, -1);
		assert_int_equal(spare_take(bench.pool, &spare, NULL), 0);
		if ((spare.id != id) != rows[i].fails)
			fail_msg("%s", rows[i].name);
		spare_close(&spare);
		commit_job_free(&jobs[0]);
		commit_job_free(&jobs[1]);
		close_bench(&bench);
		folder_teardown(NULL);
		folder_setup(NULL);
	}
}

/* What was placed in a batch whose folders failed is not acknowledged. */
static void
new_mail_beside_a_failure(void **state)
{
	struct commit_job *jobs[2];
	struct bench bench;

	(void)state;
	open_bench(&bench);
	jobs[0] = mark_one(&bench);
	jobs[1] = commit_job_new(COMMIT_NEW, 0);
	assert_int_equal(spare_take(bench.pool, &jobs[1]->spare, NULL), 0);
	jobs[1]->id = jobs[1]->spare.id;
	buf_add(&jobs[1]->text[COMMIT_RECORD], RECORD, sizeof(RECORD));
	run_batch(&bench, jobs, 2, queue_dir_fd(bench.dir, QUEUE_BOUNCE, 0));
	assert_int_equal(jobs[1]->result, QQ_SYNC_FOLDER);
	assert_false(has_file(bench.dir, QUEUE_TODO, jobs[1]->id, ""));
	commit_job_free(&jobs[0]);
	commit_job_free(&jobs[1]);
	close_bench(&bench);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(notes_of_two),
		TEST(leftovers_of_two),
		TEST(early_failure_keeps_pairs),
		TEST(new_mail_beside_a_failure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
