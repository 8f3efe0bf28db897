/* SPDX-License-Identifier: ISC */
/* Tests of queue/commit.c and queue/commit_step.c: jobs and their files. */
#include "queue/commit.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>

#include "base/mem.h"
#include "queue/exitcode.h"
#include "tests/unit/queue_folder.h"

enum { WAIT_MS = 20000 };

struct bench {
	struct queue_dir *dir;
	struct spare_pool *pool;
	struct committer *committer;
	int wake_fd;
	unsigned done;
	int last_result;
	bool was_note_kept;
	struct error last_error;
	struct spare spare; /* of the last job */
};

static void
open_bench(struct bench *bench)
{
	*bench = (struct bench){ .spare = SPARE_NONE };
	bench->dir = make_queue("q", 3);
	bench->pool = spare_pool_new(bench->dir, 8);
	bench->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	bench->committer = committer_new(
	    bench->dir, bench->pool, NULL, bench->wake_fd);
}

static void
close_bench(struct bench *bench)
{
	spare_close(&bench->spare);
	committer_free(&bench->committer);
	assert_null(bench->committer);
	spare_pool_free(&bench->pool);
	queue_dir_close(&bench->dir);
	close(bench->wake_fd);
}

static void
job_done(struct commit_job *job, void *context)
{
	struct bench *bench = context;

	bench->done++;
	bench->last_result = job->result;
	bench->was_note_kept = job->is_note_kept;
	bench->last_error = job->err;
	spare_close(&bench->spare);
	bench->spare = job->spare;
	job->spare = (struct spare)SPARE_NONE;
	commit_job_free(&job);
}

static void
post(struct bench *bench, struct commit_job *job)
{
	job->done = job_done;
	job->context = bench;
	commit_post(bench->committer, job);
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
		commit_reap(bench->committer);
	}
}

static void
run(struct bench *bench, struct commit_job *job)
{
	post(bench, job);
	wait_done(bench, bench->done + 1);
}

#define RECORD "u1\0p2\0Fs@x\0Ta@b"

/* Has a message queued; its pair is in bench->spare. */
static uint64_t
commit_new(struct bench *bench, const char *text, size_t said)
{
	struct commit_job *job = commit_job_new(COMMIT_NEW, 0);
	struct error err;

	assert_int_equal(spare_take(bench->pool, &job->spare, &err), 0);
	job->id = job->spare.id;
	assert_int_equal(
	    pwrite(job->spare.mess_fd, text, strlen(text), 0), strlen(text));
	job->size_bytes = said;
	buf_add(&job->text[COMMIT_RECORD], RECORD, sizeof(RECORD));
	run(bench, job);
	return bench->spare.id;
}

static void
finish(struct bench *bench, uint64_t id)
{
	struct commit_job *job = commit_job_new(COMMIT_FINISH, id);

	job->spare = bench->spare;
	bench->spare = (struct spare)SPARE_NONE;
	run(bench, job);
	assert_int_equal(bench->last_result, QQ_OK);
}

/* Files of a message: which of the folders have one. */
static void
expect_folders(struct bench *bench, uint64_t id, const char *wanted)
{
	static const struct {
		enum queue_folder folder;
		char letter;
	} rows[] = { { QUEUE_MESS, 'm' }, { QUEUE_INTD, 'n' },
		{ QUEUE_TODO, 't' }, { QUEUE_INFO, 'i' }, { QUEUE_LOCAL, 'l' },
		{ QUEUE_REMOTE, 'r' }, { QUEUE_BOUNCE, 'b' } };
	char got[16] = "";

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (has_file(bench->dir, rows[i].folder, id, ""))
			got[strlen(got)] = rows[i].letter;
	if (has_file(bench->dir, QUEUE_PID, id, ".e"))
		got[strlen(got)] = 'e';
	assert_string_equal(got, wanted);
}

/* The number is free only when the sync of the folders has made it so. */
static void
expect_gone(struct bench *bench, uint64_t id)
{
	for (int tries = 0; tries < 500; tries++) {
		struct timespec pause = { .tv_nsec = 10000000 };

		if (!has_file(bench->dir, QUEUE_MESS, id, ""))
			break;
		nanosleep(&pause, NULL);
	}
	expect_folders(bench, id, "");
}

static void
new_and_finish(void **state)
{
	struct bench bench;
	uint64_t id, next;

	(void)state;
	open_bench(&bench);
	id = commit_new(&bench, "first message, long", 19);
	assert_int_equal(bench.last_result, QQ_OK);
	expect_folders(&bench, id, "mt"); /* S4 */
	EXPECT_FILE(bench.dir, QUEUE_MESS, id, "first message, long");
	expect_file(bench.dir, QUEUE_TODO, id, RECORD, sizeof(RECORD));
	finish(&bench, id);
	expect_folders(&bench, id, "me"); /* S2, a spare */
	/* The same pair serves the next one, and nothing of the first shows. */
	do {
		next = commit_new(&bench, "second", 6);
		finish(&bench, next);
	} while (next != id);
	next = commit_new(&bench, "3rd", 3);
	EXPECT_FILE(bench.dir, QUEUE_MESS, next, "3rd");
	expect_file(bench.dir, QUEUE_TODO, next, RECORD, sizeof(RECORD));
	close_bench(&bench);
}

/* A finished pair is not given out before its folder was synced. */
static void
reuse_waits_for_the_sync(void **state)
{
	struct bench bench;
	struct spare spare;
	struct error err;
	uint64_t id;

	(void)state;
	open_bench(&bench);
	id = commit_new(&bench, "x", 1);
	finish(&bench, id);
	/*
	 * FINISH alone needs no sync, so its pair waits in the committer for
	 * the next batch, or its linger: what is taken at once is another.
	 */
	assert_int_equal(spare_take(bench.pool, &spare, &err), 0);
	assert_true(spare.id != id);
	spare_give(bench.pool, &spare);
	/* NEW syncs todo/, and so the pair is free. */
	bench.spare = (struct spare)SPARE_NONE;
	commit_new(&bench, "y", 1);
	do {
		assert_int_equal(spare_take(bench.pool, &spare, &err), 0);
		spare_close(&spare);
	} while (spare.id != id);
	close_bench(&bench);
}

/* A reader that still has the message open keeps it from serving again. */
static void
open_message_is_not_reused(void **state)
{
	struct bench bench;
	uint64_t id;
	int fd;

	(void)state;
	open_bench(&bench);
	id = commit_new(&bench, "secret", 6);
	fd = queue_open_file(bench.dir, QUEUE_MESS, id, O_RDONLY);
	finish(&bench, id);
	committer_free(&bench.committer); /* does all that waits */
	expect_folders(&bench, id, "");
	bench.committer = committer_new(
	    bench.dir, bench.pool, NULL, bench.wake_fd);
	close(fd);
	close_bench(&bench);
}

static void
refused(void **state)
{
	struct bench bench;
	struct commit_job *job;
	struct error err;
	uint64_t id;

	(void)state;
	open_bench(&bench);
	id = commit_new(&bench, "short", 6); /* says one byte more */
	assert_int_equal(bench.last_result, QQ_MESS);
	expect_gone(&bench, id);
	id = commit_new(&bench, "x", UINT64_MAX);
	assert_int_not_equal(bench.last_result, QQ_OK);
	expect_gone(&bench, id);
	/* Its envelope was taken away: nothing can be queued. */
	job = commit_job_new(COMMIT_NEW, 0);
	assert_int_equal(spare_take(bench.pool, &job->spare, &err), 0);
	id = job->id = job->spare.id;
	{
		char name[QUEUE_NAME_SIZE];

		spare_envelope_name(name, id);
		assert_int_equal(
		    unlinkat(queue_dir_fd(bench.dir, QUEUE_PID, 0), name, 0),
		    0);
	}
	buf_add(&job->text[COMMIT_RECORD], RECORD, sizeof(RECORD));
	run(&bench, job);
	assert_int_equal(bench.last_result, QQ_LINK_TODO);
	assert_non_null(strstr(bench.last_error.text, "todo"));
	expect_gone(&bench, id);
	close_bench(&bench);
}

static void
put_text(struct commit_job *job, enum commit_text text, const char *data,
    size_t length)
{
	buf_add(&job->text[text], data, length);
}

static struct commit_job *
remember_job(uint64_t id)
{
	struct commit_job *job = commit_job_new(COMMIT_REMEMBER, id);

	put_text(job, COMMIT_RECORD, "Fs@x", 5);
	put_text(job, COMMIT_LOCAL, "Ta\0Tb", 6);
	put_text(job, COMMIT_REMOTE, "Tc", 3);
	put_text(job, COMMIT_BOUNCE, "<z>:\nno\n\n", 9);
	job->birth = 1000000;
	job->retry_at[0] = 2000000;
	return job;
}

static void
expect_mtime(
    struct bench *bench, enum queue_folder kind, uint64_t id, time_t wanted)
{
	int fd = queue_open_file(bench->dir, kind, id, O_RDONLY);
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mtime, wanted);
	close(fd);
}

static void
life_in_s5(void **state)
{
	struct bench bench;
	struct commit_job *job;
	uint64_t id;

	(void)state;
	open_bench(&bench);
	id = commit_new(&bench, "x", 1);
	/* What an interrupted try left is not added to. */
	put_file(bench.dir, QUEUE_BOUNCE, id, "<y>:\nold\n\n", 10);
	put_file(bench.dir, QUEUE_LOCAL, id, "Told\0Ttoo\0", 10);
	run(&bench, remember_job(id));
	assert_int_equal(bench.last_result, QQ_OK);
	expect_folders(&bench, id, "milrb");
	EXPECT_FILE(bench.dir, QUEUE_INFO, id, "Fs@x\0");
	EXPECT_FILE(bench.dir, QUEUE_LOCAL, id, "Ta\0Tb\0");
	EXPECT_FILE(bench.dir, QUEUE_REMOTE, id, "Tc\0");
	EXPECT_FILE(bench.dir, QUEUE_BOUNCE, id, "<z>:\nno\n\n");
	expect_mtime(&bench, QUEUE_INFO, id, 1000000);
	expect_mtime(&bench, QUEUE_LOCAL, id, 2000000);
	/* MARK: the note behind the others, then the mark, then the time. */
	job = commit_job_new(COMMIT_MARK, id);
	job->channel = QUEUE_LOCAL;
	job->marks = calloc(1, sizeof(*job->marks));
	job->marks[0] = 3;
	job->mark_count = 1;
	job->retry_at[0] = 3000000;
	put_text(job, COMMIT_BOUNCE, "<b>:\nno\n\n", 9);
	run(&bench, job);
	assert_int_equal(bench.last_result, QQ_OK);
	EXPECT_FILE(bench.dir, QUEUE_LOCAL, id, "Ta\0Db\0");
	EXPECT_FILE(bench.dir, QUEUE_BOUNCE, id, "<z>:\nno\n\n<b>:\nno\n\n");
	expect_mtime(&bench, QUEUE_LOCAL, id, 3000000);
	job = commit_job_new(COMMIT_CHANNEL_END, id);
	job->channel = QUEUE_LOCAL;
	run(&bench, job);
	expect_folders(&bench, id, "mirb");
	job = commit_job_new(COMMIT_CHANNEL_END, id);
	job->channel = QUEUE_REMOTE;
	run(&bench, job);
	expect_folders(&bench, id, "mib");
	run(&bench, commit_job_new(COMMIT_FORGET, id));
	assert_int_equal(bench.last_result, QQ_OK);
	expect_gone(&bench, id);
	close_bench(&bench);
}

/*
 * After a power cut pid/ID.e can be there beside todo/ID, one file with two
 * names.  A rename of one to the other does nothing, and the next message would
 * have got this one's envelope.
 */
static void
finish_with_two_names(void **state)
{
	struct bench bench;
	char from[QUEUE_NAME_SIZE], to[QUEUE_NAME_SIZE];
	uint64_t id;

	(void)state;
	open_bench(&bench);
	id = commit_new(&bench, "text", 4);
	queue_name(from, id, "");
	spare_envelope_name(to, id);
	assert_int_equal(linkat(queue_dir_fd(bench.dir, QUEUE_TODO, id), from,
			     queue_dir_fd(bench.dir, QUEUE_PID, id), to, 0),
	    0);
	finish(&bench, id);
	assert_false(has_file(bench.dir, QUEUE_TODO, id, ""));
	close_bench(&bench);
}

/*
 * S4 with the files of an S5 that was begun: they are gone before the envelope,
 * so that the next message with this number does not get them.
 */
static void
finish_with_leftovers(void **state)
{
	static const enum queue_folder begun[] = { QUEUE_INFO, QUEUE_LOCAL,
		QUEUE_REMOTE };
	struct bench bench;
	struct commit_job *job;
	uint64_t id;
	int fd;

	(void)state;
	open_bench(&bench);
	id = commit_new(&bench, "x", 1);
	for (size_t i = 0; i < sizeof(begun) / sizeof(begun[0]); i++) {
		fd = queue_open_file(
		    bench.dir, begun[i], id, O_WRONLY | O_CREAT);
		assert_int_not_equal(fd, -1);
		close(fd);
	}
	job = commit_job_new(COMMIT_FINISH, id);
	job->spare = bench.spare;
	job->has_leftovers = true;
	bench.spare = (struct spare)SPARE_NONE;
	run(&bench, job);
	assert_int_equal(bench.last_result, QQ_OK);
	expect_folders(&bench, id, "me");
	close_bench(&bench);
}

/* A note that cannot be written: nothing is marked, nothing half stays. */
static void
note_before_mark(void **state)
{
	struct bench bench;
	struct commit_job *job;
	uint64_t id;
	char *path;

	(void)state;
	open_bench(&bench);
	id = commit_new(&bench, "x", 1);
	job = remember_job(id);
	buf_reset(&job->text[COMMIT_BOUNCE]);
	run(&bench, job);
	path = xasprintf("%s/bounce/%" PRIu64, bench.dir->path, id);
	assert_int_equal(mkdir(path, 0700), 0);
	job = commit_job_new(COMMIT_MARK, id);
	job->channel = QUEUE_LOCAL;
	job->marks = calloc(1, sizeof(*job->marks));
	job->mark_count = 1;
	put_text(job, COMMIT_BOUNCE, "note", 4);
	run(&bench, job);
	assert_int_equal(bench.last_result, QQ_WRITE_ERROR);
	assert_non_null(strstr(bench.last_error.text, "bounce"));
	assert_false(bench.was_note_kept);
	EXPECT_FILE(bench.dir, QUEUE_LOCAL, id, "Ta\0Tb\0");
	assert_int_equal(rmdir(path), 0);
	free(path);
	/* The mark alone fails: the note is there, not to be added again. */
	assert_int_equal(queue_unlink(bench.dir, QUEUE_LOCAL, id), 0);
	job = commit_job_new(COMMIT_MARK, id);
	job->channel = QUEUE_LOCAL;
	job->marks = calloc(1, sizeof(*job->marks));
	job->mark_count = 1;
	put_text(job, COMMIT_BOUNCE, "note", 4);
	run(&bench, job);
	assert_int_equal(bench.last_result, QQ_WRITE_ERROR);
	assert_non_null(strstr(bench.last_error.text, "local"));
	assert_true(bench.was_note_kept);
	EXPECT_FILE(bench.dir, QUEUE_BOUNCE, id, "note");
	close_bench(&bench);
}

/* REMEMBER that fails leaves S4, which is begun once more. */
static void
failed_remember_keeps_todo(void **state)
{
	struct bench bench;
	char *path;
	uint64_t id;

	(void)state;
	open_bench(&bench);
	id = commit_new(&bench, "x", 1);
	path = xasprintf(
	    "%s/info/%" PRIu64 "/%" PRIu64, bench.dir->path, id % 3, id);
	assert_int_equal(mkdir(path, 0700), 0);
	run(&bench, remember_job(id));
	assert_int_not_equal(bench.last_result, QQ_OK);
	assert_true(has_file(bench.dir, QUEUE_TODO, id, ""));
	assert_int_equal(rmdir(path), 0);
	free(path);
	run(&bench, remember_job(id));
	assert_int_equal(bench.last_result, QQ_OK);
	expect_folders(&bench, id, "milrb");
	close_bench(&bench);
}

static void
sweep(void **state)
{
	static const struct {
		const char *name;
		enum queue_folder beside; /* QUEUE_MESS: nothing */
		bool is_old, is_removed;
	} rows[] = {
		{ "new S2", QUEUE_MESS, false, false },
		{ "old S2", QUEUE_MESS, true, true },
		{ "old S3", QUEUE_INTD, true, true },
		{ "old S4", QUEUE_TODO, true, false },
		{ "old S5", QUEUE_INFO, true, false },
	};
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
		{ .tv_sec = time(NULL) - COMMIT_GARBAGE_S - 10 } };
	struct bench bench;

	(void)state;
	open_bench(&bench);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t id = put_message(bench.dir, "x");
		int fd = queue_open_file(bench.dir, QUEUE_MESS, id, O_WRONLY);

		if (rows[i].is_old)
			assert_int_equal(futimens(fd, times), 0);
		close(fd);
		if (rows[i].beside != QUEUE_MESS)
			put_file(bench.dir, rows[i].beside, id, "x", 1);
		run(&bench, commit_job_new(COMMIT_SWEEP, id));
		if (has_file(bench.dir, QUEUE_MESS, id, "") ==
		    rows[i].is_removed)
			fail_msg("%s", rows[i].name);
		if (rows[i].is_removed)
			expect_folders(&bench, id, "");
	}
	close_bench(&bench);
}

static void
many_at_once(void **state)
{
	enum { COUNT = 500 };
	static struct commit_job *jobs[COUNT];
	struct commit_stats stats;
	struct bench bench;

	(void)state;
	open_bench(&bench);
	for (unsigned i = 0; i < COUNT; i++) {
		struct commit_job *job = jobs[i] = commit_job_new(
		    COMMIT_NEW, 0);

		assert_int_equal(spare_take(bench.pool, &job->spare, NULL), 0);
		job->id = job->spare.id;
		buf_add(&job->text[COMMIT_RECORD], RECORD, sizeof(RECORD));
	}
	for (unsigned i = 0; i < COUNT; i++)
		post(&bench, jobs[i]);
	wait_done(&bench, COUNT);
	commit_read_stats(bench.committer, &stats);
	assert_true(stats.latency_us > 0);
	assert_true(stats.batch_x100 > 100); /* they went together */
	/* Without new mail a slow queue is not slow for ever. */
	commit_fade(bench.committer);
	for (int i = 0; i < 40; i++)
		commit_fade(bench.committer);
	commit_read_stats(bench.committer, &stats);
	assert_int_equal(stats.latency_us, 0);
	close_bench(&bench);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(new_and_finish),
		TEST(reuse_waits_for_the_sync),
		TEST(finish_with_two_names),
		TEST(finish_with_leftovers),
		TEST(open_message_is_not_reused),
		TEST(refused),
		TEST(life_in_s5),
		TEST(note_before_mark),
		TEST(failed_remember_keeps_todo),
		TEST(sweep),
		TEST(many_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
