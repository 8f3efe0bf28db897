/* SPDX-License-Identifier: ISC */
/* Tests of queue/commit.h. */
#include "queue/commit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "queue/exitcode.h"
#define FOLDER_IN_MEMORY
#include "tests/unit/bare_queue.h"
#include "tests/unit/journal_found.h"

enum { WAIT_MS = 20000, SPLIT = 3 };

/* -- the disk: what the committer's thread does is held, counted, refused */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool is_held;             /* writes of the journal */
	unsigned waiting;         /* of them */
	unsigned synced, written; /* with a sync, and without */
	int error;                /* of writes */
} disk = { .lock = PTHREAD_MUTEX_INITIALIZER,
	.changed = PTHREAD_COND_INITIALIZER };

ssize_t
pwritev2(int fd, const struct iovec *data, int count, off_t offset, int flags)
{
	int error;

	pthread_mutex_lock(&disk.lock);
	disk.waiting++;
	pthread_cond_broadcast(&disk.changed);
	while (disk.is_held)
		pthread_cond_wait(&disk.changed, &disk.lock);
	disk.waiting--;
	if (offset > 0) /* but for the header of a segment */
		*(flags == RWF_DSYNC ? &disk.synced : &disk.written) += 1;
	error = disk.error;
	pthread_cond_broadcast(&disk.changed);
	pthread_mutex_unlock(&disk.lock);
	errno = error;
	return error != 0
	    ? -1
	    : syscall(SYS_pwritev2, fd, data, count, offset, 0, flags);
}

static void
hold_writes(bool is_held)
{
	pthread_mutex_lock(&disk.lock);
	disk.is_held = is_held;
	pthread_cond_broadcast(&disk.changed);
	pthread_mutex_unlock(&disk.lock);
}

/* Until so many of what the field counts have happened. */
static void
wait_disk(const unsigned *field, unsigned count)
{
	struct timespec end;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += WAIT_MS / 1000;
	pthread_mutex_lock(&disk.lock);
	while (*field < count)
		if (pthread_cond_timedwait(&disk.changed, &disk.lock, &end) !=
		    0)
			fail_msg("%u of %u writes", *field, count);
	pthread_mutex_unlock(&disk.lock);
}

static unsigned
disk_count(const unsigned *field)
{
	unsigned count;

	pthread_mutex_lock(&disk.lock);
	count = *field;
	pthread_mutex_unlock(&disk.lock);
	return count;
}

static void
set_disk(int *field, int error)
{
	pthread_mutex_lock(&disk.lock);
	*field = error;
	pthread_mutex_unlock(&disk.lock);
}

/* -- a queue, and who posts */

struct bench {
	struct queue_dir *dir;
	struct journal *journal;
	struct committer *committer;
	struct found found;
	int wake_fd;
	unsigned done, wakes;
	uint64_t ids[4096]; /* in their order */
	int results[4096];
	uint64_t segment; /* of the last one */
	char error[512];
};

static void
start_committer(struct bench *bench)
{
	struct journal_finder finder = found_finder(&bench->found);
	struct error err = { "" };

	found_reset(&bench->found);
	if (journal_open(bench->dir, JOURNAL_SEGMENTS * JOURNAL_SEGMENT_MIN,
		&finder, &bench->journal, &err) == -1)
		fail_msg("%s", err.text);
	bench->committer = committer_new(
	    bench->dir, bench->journal, bench->wake_fd);
	disk.synced = disk.written = 0;
	bench->done = bench->wakes = 0;
}

static void
open_bench(struct bench *bench)
{
	*bench = (struct bench){ .done = 0 };
	bench->dir = make_bare_queue("q", SPLIT);
	bench->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	start_committer(bench);
}

static void
stop_committer(struct bench *bench)
{
	committer_free(&bench->committer);
	journal_close(&bench->journal);
}

static void
close_bench(struct bench *bench)
{
	stop_committer(bench);
	found_reset(&bench->found);
	queue_dir_close(&bench->dir);
	close(bench->wake_fd);
}

static void
job_done(struct commit_job *job, void *context)
{
	struct bench *bench = context;

	bench->ids[bench->done] = job->message.id;
	bench->results[bench->done++] = job->result;
	bench->segment = job->segment;
	memcpy(bench->error, job->err.text, sizeof(bench->error));
	commit_job_free(&job);
}

static void
gather_new(struct bench *bench, uint64_t id, size_t size, bool has_file)
{
	static const char text[JOURNAL_SEGMENT_MIN];
	struct commit_job *job = commit_job_new(COMMIT_NEW, id);

	buf_add(&job->record, "Fs\0Tr", 6);
	job->has_file = has_file;
	if (has_file)
		job->message.size_bytes = size;
	else
		buf_add(&job->body, text, size);
	job->done = job_done;
	job->context = bench;
	commit_post(bench->committer, job);
}

static void
post_new(struct bench *bench, uint64_t id, size_t size, bool has_file)
{
	gather_new(bench, id, size, has_file);
	commit_flush(bench->committer);
}

static void
post_end(struct bench *bench, uint64_t id, bool is_waited_for, bool has_file)
{
	struct commit_job *job = commit_job_new(COMMIT_END, id);

	job->is_waited_for = is_waited_for;
	job->has_file = has_file;
	job->done = is_waited_for ? job_done : NULL;
	job->context = bench;
	commit_post(bench->committer, job);
	commit_flush(bench->committer);
}

/* Waits until so many jobs are done in all. */
static void
wait_done(struct bench *bench, unsigned count)
{
	while (bench->done < count) {
		struct pollfd in = { .fd = bench->wake_fd, .events = POLLIN };
		uint64_t times;

		if (poll(&in, 1, WAIT_MS) != 1 ||
		    read(bench->wake_fd, &times, sizeof(times)) == -1)
			fail_msg("job %u was not done", bench->done + 1);
		bench->wakes += (unsigned)times;
		commit_reap(bench->committer);
	}
	assert_int_equal(bench->done, count);
}

static void
expect_found(struct bench *bench, const char *wanted)
{
	stop_committer(bench);
	start_committer(bench);
	assert_string_equal(found_text(&bench->found), wanted);
}

/* -- tests */

static void
durable(void **state)
{
	struct commit_stats stats;
	struct bench bench;

	(void)state;
	open_bench(&bench);
	post_new(&bench, 1, 100, false);
	wait_done(&bench, 1);
	assert_int_equal(bench.results[0], QQ_OK);
	assert_int_equal(bench.segment, 1);
	assert_int_equal(disk_count(&disk.synced), 1);
	post_new(&bench, 2, 0, false);
	wait_done(&bench, 2);
	commit_read_stats(bench.committer, &stats);
	assert_true(stats.latency_us > 0);
	assert_int_equal(stats.batch_x100, 100);
	assert_false(stats.is_full);
	assert_int_equal(
	    stats.journal_size_bytes, JOURNAL_SEGMENTS * JOURNAL_SEGMENT_MIN);
	assert_int_equal(stats.journal_used_bytes, 3 * JOURNAL_PAGE_BYTES);
	post_end(&bench, 1, true, false);
	wait_done(&bench, 3);
	assert_int_equal(bench.results[2], QQ_OK);
	assert_int_equal(disk_count(&disk.synced), 3);
	assert_int_equal(disk_count(&disk.written), 0);
	expect_found(&bench, "-1 2");
	assert_int_equal(bench.found.messages[1].body.length, 0);
	assert_non_null(bench.found.messages[1].body.data);
	close_bench(&bench);
}

/* What arrives during a sync is the next batch, and wakes the owner once. */
static void
one_batch(void **state)
{
	enum { COUNT = 100 };
	struct bench bench;
	uint64_t id;

	(void)state;
	open_bench(&bench);
	hold_writes(true);
	post_new(&bench, 1, 100, false);
	wait_disk(&disk.waiting, 1);
	for (id = 2; id <= COUNT; id++)
		post_new(&bench, id, 1000, false);
	post_end(&bench, 1, false, false);
	hold_writes(false);
	wait_done(&bench, COUNT);
	for (id = 1; id <= COUNT; id++) {
		assert_int_equal(bench.ids[id - 1], id);
		assert_int_equal(bench.results[id - 1], QQ_OK);
	}
	assert_int_equal(disk_count(&disk.synced), 2);
	assert_true(bench.wakes <= 2);
	assert_int_equal(disk_count(&disk.written), 0); /* the end rode along */
	close_bench(&bench);
}

/* What is posted in one turn of the owner is one batch. */
static void
one_turn(void **state)
{
	enum { COUNT = 100 };
	struct bench bench;

	(void)state;
	open_bench(&bench);
	for (uint64_t id = 1; id <= COUNT; id++)
		gather_new(&bench, id, 1000, false);
	commit_flush(bench.committer);
	wait_done(&bench, COUNT);
	assert_int_equal(disk_count(&disk.synced), 1);
	assert_int_equal(bench.wakes, 1);
	close_bench(&bench);
}

/* Nobody waits: written after a moment, and synced after a second. */
static void
lonely_ends(void **state)
{
	struct bench bench;
	uint64_t id;

	(void)state;
	open_bench(&bench);
	for (id = 1; id <= 20; id++)
		post_new(&bench, id, 100, false);
	wait_done(&bench, 20);
	disk.synced = 0;
	for (id = 1; id <= 20; id++)
		post_end(&bench, id, false, false);
	wait_disk(&disk.written, 1);
	assert_int_equal(disk_count(&disk.synced), 0);
	wait_disk(&disk.synced, 1);
	assert_int_equal(disk_count(&disk.written), 1);
	close_bench(&bench);
}

/* A batch that fails does so for all of it, and counts for nobody. */
static void
failures(void **state)
{
	static const struct {
		int error;
		int result;
	} cases[] = { { EIO, QQ_SYNC }, { ENOSPC, QQ_WRITE_ERROR } };
	struct bench bench;
	uint64_t id = 1;
	unsigned synced;
	size_t i;

	(void)state;
	open_bench(&bench);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unsigned done = bench.done;

		post_new(&bench, id++, 100, false);
		wait_done(&bench, done + 1);
		assert_int_equal(bench.results[done], QQ_OK);
		hold_writes(true);
		set_disk(&disk.error, cases[i].error);
		post_new(&bench, id++, 100, false);
		wait_disk(&disk.waiting, 1);
		post_new(&bench, id++, 100, false);
		synced = disk_count(&disk.synced);
		hold_writes(false);
		wait_disk(&disk.synced, synced + 1);
		set_disk(&disk.error, 0); /* perhaps in time for the other */
		wait_done(&bench, done + 3);
		assert_int_equal(bench.results[done + 1], cases[i].result);
	}
	post_new(&bench, id, 100, false);
	wait_done(&bench, bench.done + 1);
	assert_int_equal(bench.results[bench.done - 1], QQ_OK);
	close_bench(&bench);
}

/* An end that somebody waits for is tried until it is durable. */
static void
end_tried_again(void **state)
{
	struct bench bench;

	(void)state;
	open_bench(&bench);
	post_new(&bench, 1, 100, false);
	wait_done(&bench, 1);
	set_disk(&disk.error, EIO);
	post_end(&bench, 1, true, false);
	wait_disk(&disk.synced, 2);
	set_disk(&disk.error, 0);
	wait_done(&bench, 2);
	assert_int_equal(bench.results[1], QQ_OK);
	expect_found(&bench, "-1");
	close_bench(&bench);
}

static void
bodies_in_files(void **state)
{
	struct bench bench;
	uint64_t id;

	(void)state;
	open_bench(&bench);
	for (id = 1; id <= 6; id++) {
		int fd = queue_open_file(
		    bench.dir, QUEUE_MESS, id, O_WRONLY | O_CREAT);

		assert_int_not_equal(fd, -1);
		close(fd);
	}
	hold_writes(true);
	post_new(&bench, 1, 1 << 20, true);
	wait_disk(&disk.waiting, 1);
	for (id = 2; id <= 6; id++)
		post_new(&bench, id, 1 << 20, true);
	hold_writes(false);
	wait_done(&bench, 6);
	/* The file goes with its end. */
	hold_writes(true);
	post_end(&bench, 1, true, true);
	wait_disk(&disk.waiting, 1);
	assert_int_equal(
	    faccessat(queue_dir_fd(bench.dir, QUEUE_MESS, 1), "1", F_OK, 0), 0);
	hold_writes(false);
	wait_done(&bench, 7);
	assert_int_equal(
	    faccessat(queue_dir_fd(bench.dir, QUEUE_MESS, 1), "1", F_OK, 0),
	    -1);
	disk.synced = 0;
	post_end(&bench, 2, false, true);
	wait_disk(&disk.synced, 1);
	expect_found(&bench, "-1 -2 3 4 5 6");
	assert_int_equal(bench.found.messages[2].size_bytes, 1 << 20);
	assert_null(bench.found.messages[2].body.data);
	assert_int_equal(
	    faccessat(queue_dir_fd(bench.dir, QUEUE_MESS, 2), "2", F_OK, 0),
	    -1);
	close_bench(&bench);
}

/* Fills the journal; the id of the message that still waits. */
static uint64_t
fill(struct bench *bench)
{
	struct commit_stats stats;
	uint64_t id = 0;

	do {
		post_new(bench, ++id, JOURNAL_SEGMENT_MIN / 5, false);
		while (bench->done < id) {
			struct pollfd in = { .fd = bench->wake_fd,
				.events = POLLIN };
			uint64_t times;

			commit_read_stats(bench->committer, &stats);
			if (stats.is_full)
				break;
			if (poll(&in, 1, 20) == 1)
				assert_int_equal(
				    read(bench->wake_fd, &times, sizeof(times)),
				    sizeof(times));
			commit_reap(bench->committer);
		}
	} while (bench->done == id);
	assert_int_equal(commit_wanted(bench->committer), 1);
	return id;
}

static void
full(void **state)
{
	struct bench bench;
	uint64_t id, last;

	(void)state;
	open_bench(&bench);
	last = fill(&bench);
	post_new(&bench, last + 1, 10, false); /* waits behind it */
	/* There is room when all of the first segment have ended. */
	for (id = 1; id <= 3; id++)
		post_end(&bench, id, false, false);
	post_end(&bench, 4, true, false);
	wait_done(&bench, (unsigned)last + 2);
	assert_int_equal(bench.ids[last - 1], last);
	assert_int_equal(bench.results[last - 1], QQ_OK);
	assert_int_equal(bench.ids[last], last + 1);
	assert_int_equal(bench.results[last], QQ_OK);
	assert_int_equal(bench.ids[last + 1], 4);
	close_bench(&bench);
}

static void
refused(void **state)
{
	struct commit_stats stats;
	struct bench bench;
	uint64_t last;

	(void)state;
	open_bench(&bench);
	last = fill(&bench);
	wait_done(&bench, (unsigned)last); /* COMMIT_FULL_MS */
	assert_int_equal(bench.results[last - 1], QQ_WRITE_ERROR);
	assert_string_equal(bench.error, "the journal is full");
	/* And before the end all are told. */
	post_new(&bench, last + 1, JOURNAL_SEGMENT_MIN / 5, false);
	committer_free(&bench.committer);
	assert_int_equal(bench.done, last + 1);
	assert_int_equal(bench.results[last], QQ_WRITE_ERROR);
	journal_close(&bench.journal);

	start_committer(&bench);
	assert_int_equal(bench.found.count, last - 1);
	assert_int_equal(commit_wanted(bench.committer), 1);
	commit_read_stats(bench.committer, &stats);
	assert_int_equal(stats.journal_used_bytes, stats.journal_size_bytes);
	close_bench(&bench);
}

static void
too_large(void **state)
{
	struct commit_job *job = commit_job_new(COMMIT_NEW, 1);
	struct bench bench;

	(void)state;
	open_bench(&bench);
	buf_reserve(&job->record, JOURNAL_SEGMENT_MIN);
	job->record.length = JOURNAL_SEGMENT_MIN;
	memset(job->record.data, 'x', JOURNAL_SEGMENT_MIN);
	job->done = job_done;
	job->context = &bench;
	commit_post(bench.committer, job);
	commit_flush(bench.committer);
	wait_done(&bench, 1);
	assert_int_equal(bench.results[0], QQ_WRITE_ERROR);
	assert_string_equal(
	    bench.error, "message is too large for the journal");
	close_bench(&bench);
}

/* All that was posted is done before the thread ends. */
static void
stopped(void **state)
{
	struct bench bench;
	uint64_t id;

	(void)state;
	open_bench(&bench);
	hold_writes(true);
	post_new(&bench, 1, 10, false);
	wait_disk(&disk.waiting, 1);
	for (id = 2; id <= 3000; id++)
		post_new(&bench, id, 10, false);
	hold_writes(false);
	wait_done(&bench, 3000);
	for (id = 1; id <= 3000; id++)
		post_end(&bench, id, id == 3000, false);
	committer_free(&bench.committer);
	assert_int_equal(bench.done, 3001);
	assert_int_equal(bench.results[3000], QQ_OK);
	assert_false(journal_has_unwritten(bench.journal));
	journal_close(&bench.journal);
	start_committer(&bench);
	assert_int_equal(bench.found.count, 3000);
	assert_true(bench.found.messages[0].is_over);
	assert_true(bench.found.messages[2999].is_over);
	close_bench(&bench);
}

static void
fades(void **state)
{
	struct commit_stats before, after;
	struct bench bench;
	unsigned i;

	(void)state;
	open_bench(&bench);
	post_new(&bench, 1, 10, false);
	wait_done(&bench, 1);
	commit_fade(bench.committer); /* there was new mail */
	commit_read_stats(bench.committer, &before);
	commit_fade(bench.committer);
	commit_read_stats(bench.committer, &after);
	assert_int_equal(after.latency_us, before.latency_us / 2);
	for (i = 0; i < 32; i++)
		commit_fade(bench.committer);
	commit_read_stats(bench.committer, &after);
	assert_int_equal(after.latency_us, 0);
	close_bench(&bench);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(durable),
		TEST(one_batch),
		TEST(one_turn),
		TEST(lonely_ends),
		TEST(failures),
		TEST(end_tried_again),
		TEST(bodies_in_files),
		TEST(full),
		TEST(refused),
		TEST(too_large),
		TEST(stopped),
		TEST(fades),
	};

	setenv(
	    "MQMAIL_TEST_TIMES", "COMMIT_FULL_MS=1000 JOURNAL_AGAIN_MS=50", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
