/* SPDX-License-Identifier: ISC */
/* Tests of queue/keep.c: the thread, its jobs, and the lives of messages. */
#include "queue/keep.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "queue/exitcode.h"
#include "tests/unit/keep_bench.h"

enum { WAIT_MS = 20000 };

struct bench {
	struct queue_dir *dir;
	struct keeper *keeper;
	int wake_fd;
	unsigned done;
	int last_result;
	bool was_note_kept;
	struct error last_error;
	uint64_t ids[1000]; /* in the order in which they were done */
};

static void
open_bench(struct bench *bench)
{
	memset(bench, 0, sizeof(*bench));
	bench->dir = make_bare_queue("q", 3);
	bench->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	bench->keeper = keeper_new(bench->dir, bench->wake_fd);
}

static void
close_bench(struct bench *bench)
{
	keeper_free(&bench->keeper);
	assert_null(bench->keeper);
	keeper_free(&bench->keeper);
	queue_dir_close(&bench->dir);
	close(bench->wake_fd);
}

static void
job_done(struct keep_job *job, void *context)
{
	struct bench *bench = context;

	bench->ids[bench->done++ % 1000] = job->id;
	bench->last_result = job->result;
	bench->was_note_kept = job->is_note_kept;
	bench->last_error = job->err;
	keep_job_free(&job);
}

static void
post(struct bench *bench, struct keep_job *job)
{
	job->done = job_done;
	job->context = bench;
	keep_post(bench->keeper, job);
}

/* Waits until so many jobs are done in all. */
static void
wait_done(struct bench *bench, unsigned count)
{
	while (bench->done < count) {
		struct pollfd in = { .fd = bench->wake_fd, .events = POLLIN };
		uint64_t ignored;

		if (poll(&in, 1, WAIT_MS) != 1 ||
		    read(bench->wake_fd, &ignored, sizeof(ignored)) == -1)
			fail_msg("job %u was not done", bench->done + 1);
		keep_reap(bench->keeper);
	}
}

static void
run(struct bench *bench, struct keep_job *job)
{
	post(bench, job);
	wait_done(bench, bench->done + 1);
}

static void
run_well(struct bench *bench, struct keep_job *job)
{
	run(bench, job);
	if (bench->last_result != QQ_OK)
		fail_msg("%s", bench->last_error.text);
}

/* Fresh -> S4 -> S1 */
static void
todo_and_forget(void **state)
{
	struct bench bench;
	struct keep_job *job;
	struct buf body = BUF_INIT;

	(void)state;
	open_bench(&bench);
	/* What an earlier try left is replaced. */
	put_file(bench.dir, QUEUE_MESS, 7, "a longer old text", 17);
	put_file(bench.dir, QUEUE_PID, 7, "old", 3);
	run_well(&bench, keep_todo_job(7, "text"));
	expect_folders(bench.dir, 7, "mt");
	EXPECT_FILE(bench.dir, QUEUE_MESS, 7, "text");
	expect_file(bench.dir, QUEUE_TODO, 7, KEEP_RECORD_TODO,
	    sizeof(KEEP_RECORD_TODO));
	expect_mtime(bench.dir, QUEUE_MESS, 7, 1000000);
	run_well(&bench, keep_job_new(KEEP_FORGET, 7));
	expect_folders(bench.dir, 7, "");
	/* A large one, whose body is there; and one whose body is borrowed. */
	put_file(bench.dir, QUEUE_MESS, 8, "large", 5);
	run_well(&bench, keep_todo_job(8, NULL));
	expect_folders(bench.dir, 8, "mt");
	EXPECT_FILE(bench.dir, QUEUE_MESS, 8, "large");
	buf_adds(&body, "borrowed");
	job = keep_todo_job(9, "");
	job->body = &body;
	run_well(&bench, job);
	EXPECT_FILE(bench.dir, QUEUE_MESS, 9, "borrowed");
	buf_release(&body);
	close_bench(&bench);
}

/* Fresh or S4 -> S5 -> S1 */
static void
life_in_s5(void **state)
{
	struct bench bench;
	struct keep_job *job;

	(void)state;
	for (int was_in_todo = 0; was_in_todo <= 1; was_in_todo++) {
		open_bench(&bench);
		if (was_in_todo) {
			run_well(&bench, keep_todo_job(7, "text"));
			put_file(bench.dir, QUEUE_INTD, 7, "x", 1);
			/* What an interrupted try left is not added to. */
			put_file(
			    bench.dir, QUEUE_BOUNCE, 7, "<y>:\nold\n\n", 10);
			put_file(bench.dir, QUEUE_LOCAL, 7, "Told\0Ttoo", 10);
		}
		run_well(&bench,
		    keep_remember_job(
			7, was_in_todo ? NULL : "text", "<z>:\nno\n\n"));
		expect_folders(bench.dir, 7, "milrb");
		EXPECT_FILE(bench.dir, QUEUE_MESS, 7, "text");
		EXPECT_FILE(bench.dir, QUEUE_INFO, 7, KEEP_RECORD_INFO "\0");
		EXPECT_FILE(bench.dir, QUEUE_LOCAL, 7, "Ta\0Tb\0");
		EXPECT_FILE(bench.dir, QUEUE_REMOTE, 7, "Tc\0");
		EXPECT_FILE(bench.dir, QUEUE_BOUNCE, 7, "<z>:\nno\n\n");
		expect_mtime(bench.dir, QUEUE_MESS, 7, 1000000);
		expect_mtime(bench.dir, QUEUE_INFO, 7, 1000000);
		expect_mtime(bench.dir, QUEUE_LOCAL, 7, 2000000);
		/* The note behind the others, the mark, the time, the tries. */
		job = keep_mark_job(7, "<b>:\nno\n\n");
		job->retry_at[0] = 3000000;
		job->attempt = 42;
		job->attempt_at = KEEP_ATTEMPT_AT;
		job->birth = 1000000;
		run_well(&bench, job);
		assert_true(bench.was_note_kept);
		EXPECT_FILE(bench.dir, QUEUE_LOCAL, 7, "Ta\0Db\0");
		EXPECT_FILE(
		    bench.dir, QUEUE_BOUNCE, 7, "<z>:\nno\n\n<b>:\nno\n\n");
		EXPECT_FILE(bench.dir, QUEUE_INFO, 7, "Fs@x\0A000042\0");
		expect_mtime(bench.dir, QUEUE_INFO, 7, 1000000);
		expect_mtime(bench.dir, QUEUE_LOCAL, 7, 3000000);
		run_well(&bench, keep_channel_end_job(7, QUEUE_LOCAL));
		expect_folders(bench.dir, 7, "mirb");
		run_well(&bench, keep_channel_end_job(7, QUEUE_REMOTE));
		expect_folders(bench.dir, 7, "mib");
		run_well(&bench, keep_job_new(KEEP_FORGET, 7));
		expect_folders(bench.dir, 7, "");
		close_bench(&bench);
		folder_teardown(NULL);
		folder_setup(NULL);
	}
}

/* A time, and a number of tries, without a mark. */
static void
time_alone(void **state)
{
	struct bench bench;
	struct keep_job *job;

	(void)state;
	open_bench(&bench);
	run_well(&bench, keep_remember_job(7, "text", ""));
	expect_folders(bench.dir, 7, "milr");
	job = keep_job_new(KEEP_MARK, 7);
	job->channel = QUEUE_REMOTE;
	job->retry_at[1] = 5000000;
	job->attempt = 3;
	job->attempt_at = KEEP_ATTEMPT_AT;
	job->birth = 900000;
	run_well(&bench, job);
	expect_mtime(bench.dir, QUEUE_REMOTE, 7, 5000000);
	expect_mtime(bench.dir, QUEUE_LOCAL, 7, 2000000);
	EXPECT_FILE(bench.dir, QUEUE_REMOTE, 7, "Tc\0");
	EXPECT_FILE(bench.dir, QUEUE_INFO, 7, "Fs@x\0A000003\0");
	expect_mtime(bench.dir, QUEUE_INFO, 7, 900000);
	close_bench(&bench);
}

/* S4 with the files of an S5 that was begun. */
static void
forget_with_leftovers(void **state)
{
	struct bench bench;

	(void)state;
	open_bench(&bench);
	run_well(&bench, keep_remember_job(7, "text", "note"));
	put_file(bench.dir, QUEUE_TODO, 7, "x", 1);
	put_file(bench.dir, QUEUE_INTD, 7, "x", 1);
	run_well(&bench, keep_job_new(KEEP_FORGET, 7));
	expect_folders(bench.dir, 7, "");
	close_bench(&bench);
}

/* Which files a message has: the letters of expect_folders(). */
static void
put_letters(const struct queue_dir *dir, uint64_t id, const char *letters)
{
	static const enum queue_folder folders['z'] = { ['m'] = QUEUE_MESS,
		['n'] = QUEUE_INTD,
		['t'] = QUEUE_TODO,
		['i'] = QUEUE_INFO,
		['l'] = QUEUE_LOCAL,
		['r'] = QUEUE_REMOTE,
		['b'] = QUEUE_BOUNCE,
		['p'] = QUEUE_PID };

	for (; *letters != '\0'; letters++)
		put_file(dir, folders[(unsigned char)*letters], id, "x", 1);
}

static void
sweep(void **state)
{
	static const struct {
		const char *name, *files;
		bool is_new, is_removed;
	} rows[] = {
		{ "S2", "m", true, false },
		{ "old S2", "m", false, true },
		{ "old S3", "mn", false, true },
		{ "an end that a crash interrupted", "mb", false, true },
		{ "old S4", "mt", false, false },
		{ "old S5", "mi", false, false },
		{ "a fresh one that was to be kept", "mlrbp", false, true },
		{ "the same, and it was large", "lrbp", false, true },
		{ "it was to be S4", "mp", false, true },
		{ "recipients whose record is lost", "ml", false, false },
		{ "the same", "mrb", false, false },
		{ "its message, too", "lr", false, false },
		{ "nothing", "", false, true },
	};
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
		{ .tv_sec = time(NULL) - KEEP_GARBAGE_S - 10 } };
	struct bench bench;

	(void)state;
	open_bench(&bench);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t id = 100 + i;
		int fd;

		put_letters(bench.dir, id, rows[i].files);
		fd = queue_open_file(bench.dir, QUEUE_MESS, id, O_WRONLY);
		if (fd != -1 && !rows[i].is_new)
			assert_int_equal(futimens(fd, times), 0);
		close(fd);
		run_well(&bench, keep_job_new(KEEP_SWEEP, id));
		expect_folders(
		    bench.dir, id, rows[i].is_removed ? "" : rows[i].files);
	}
	close_bench(&bench);
}

static void
many_at_once(void **state)
{
	enum { COUNT = 300 };
	struct bench bench;

	(void)state;
	open_bench(&bench);
	for (uint64_t id = 1; id <= COUNT; id++)
		post(&bench, keep_remember_job(id, "text", "note"));
	wait_done(&bench, COUNT);
	for (uint64_t id = 1; id <= COUNT; id++) {
		assert_int_equal(bench.ids[id - 1], id);
		expect_folders(bench.dir, id, "milrb");
	}
	close_bench(&bench);
}

/* All that was posted is done before the keeper ends, and in its order. */
static void
one_messages_jobs_follow_each_other(void **state)
{
	enum { COUNT = 20 };
	struct bench bench;

	(void)state;
	open_bench(&bench);
	for (uint64_t id = 1; id <= COUNT; id++) {
		post(&bench, keep_todo_job(id, "text"));
		post(&bench, keep_remember_job(id, NULL, ""));
		post(&bench, keep_mark_job(id, "note"));
		post(&bench, keep_channel_end_job(id, QUEUE_REMOTE));
	}
	keeper_free(&bench.keeper);
	assert_int_equal(bench.done, 4 * COUNT);
	for (uint64_t id = 1; id <= COUNT; id++) {
		expect_folders(bench.dir, id, "milb");
		EXPECT_FILE(bench.dir, QUEUE_LOCAL, id, "Ta\0Db\0");
	}
	close_bench(&bench);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(todo_and_forget),
		TEST(life_in_s5),
		TEST(time_alone),
		TEST(forget_with_leftovers),
		TEST(sweep),
		TEST(many_at_once),
		TEST(one_messages_jobs_follow_each_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
