/* SPDX-License-Identifier: ISC */
/* The committer: the thread, its batches and their order. */
#include "queue/commit.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/signals.h"
#include "base/test_time.h"
#include "queue/exitcode.h"

enum {
	BATCH_BYTES = 1024 * 1024, /* a batch takes no more when it has these */
	WRITE_ENDS_MS = 50,        /* until ends without a batch are written */
	SYNC_ENDS_MS = 1000,       /* and synced */
	RETRY_MS = 200             /* while the journal is full */
};

STAILQ_HEAD(job_list, commit_job);

struct committer {
	const struct queue_dir *dir;
	int wake_fd;
	pthread_t thread;
	struct job_list gathered; /* the owner's own: until commit_flush() */
	/* the thread's own */
	struct journal *journal;
	struct job_list news;     /* not in a batch yet */
	struct job_list ends;     /* not durable yet, and it matters */
	struct job_list finished; /* to be handed back */
	struct job_list spent;    /* the same: nobody waits for these */
	/* clock_ms(), or 0: since when ends are not written, not synced */
	int64_t unwritten_since_ms, unsynced_since_ms;
	int64_t linger_until_ms; /* ends are expected */
	/* anybody's */
	atomic_uint latency_us, batch_x100;
	atomic_bool has_new; /* a batch had new mail since commit_fade() */
	atomic_bool is_full;
	atomic_uint_fast64_t used_bytes, size_bytes, wanted;
	pthread_mutex_t lock; /* for what follows */
	pthread_cond_t job_waits;
	struct job_list posted, done;
	struct job_list over; /* spent: the owner, who made them, frees them */
	bool is_urgent;       /* somebody waits for one of those posted */
	int64_t posted_at_ms; /* of the first one; or 0 */
	int64_t sleeps_until_ms; /* the thread; 0: it does not sleep */
	bool is_ending;
};

struct commit_job *
commit_job_new(enum commit_type type, uint64_t id)
{
	struct commit_job *job = xcalloc(1, sizeof(*job));

	job->type = type;
	job->message.id = id;
	return job;
}

void
commit_job_free(struct commit_job **job_in)
{
	struct commit_job *job = *job_in;

	if (job == NULL)
		return;
	buf_release(&job->record);
	buf_release(&job->body);
	free(job);
	*job_in = NULL;
}

/* The first one, taken off the list; NULL: there is none. */
static struct commit_job *
take_commit_job(struct job_list *list)
{
	struct commit_job *job = STAILQ_FIRST(list);

	if (job != NULL)
		STAILQ_REMOVE_HEAD(list, next);
	return job;
}

/* -- the owner's side */

void
commit_post(struct committer *committer, struct commit_job *job)
{
	job->posted_at_ms = clock_ms();
	STAILQ_INSERT_TAIL(&committer->gathered, job, next);
}

static bool
is_urgent(const struct commit_job *job)
{
	return job->type == COMMIT_NEW || job->is_waited_for;
}

static void
free_jobs(struct job_list *jobs)
{
	struct commit_job *job;

	while ((job = take_commit_job(jobs)) != NULL)
		commit_job_free(&job);
}

void
commit_flush(struct committer *committer)
{
	const struct commit_job *job = STAILQ_FIRST(&committer->gathered);
	struct job_list over = STAILQ_HEAD_INITIALIZER(over);
	bool has_urgent = false, wakes;
	int64_t posted_at_ms;

	if (job == NULL)
		return;
	posted_at_ms = job->posted_at_ms;
	for (; job != NULL && !has_urgent; job = STAILQ_NEXT(job, next))
		has_urgent = is_urgent(job);
	pthread_mutex_lock(&committer->lock);
	if (STAILQ_EMPTY(&committer->posted))
		committer->posted_at_ms = posted_at_ms;
	STAILQ_CONCAT(&committer->posted, &committer->gathered);
	STAILQ_CONCAT(&over, &committer->over);
	committer->is_urgent |= has_urgent;
	/* An end can wait for the next batch, but not for ever. */
	wakes = committer->sleeps_until_ms != 0 &&
	    (has_urgent ||
		posted_at_ms + WRITE_ENDS_MS < committer->sleeps_until_ms);
	if (wakes)
		committer->sleeps_until_ms = 0;
	pthread_mutex_unlock(&committer->lock);
	if (wakes)
		pthread_cond_signal(&committer->job_waits);
	free_jobs(&over);
}

void
commit_reap(struct committer *committer)
{
	struct job_list done = STAILQ_HEAD_INITIALIZER(done);
	struct commit_job *job;

	pthread_mutex_lock(&committer->lock);
	STAILQ_CONCAT(&done, &committer->done);
	pthread_mutex_unlock(&committer->lock);
	while ((job = take_commit_job(&done)) != NULL)
		job->done(job, job->context);
}

uint64_t
commit_wanted(const struct committer *committer)
{
	return atomic_load(&committer->wanted);
}

void
commit_fade(struct committer *committer)
{
	uint32_t old = atomic_load(&committer->latency_us);

	/* A sample that comes in between wins. */
	if (!atomic_exchange(&committer->has_new, false))
		atomic_compare_exchange_strong(
		    &committer->latency_us, &old, old / 2);
}

void
commit_read_stats(
    const struct committer *committer, struct commit_stats *stats_out)
{
	*stats_out = (struct commit_stats){ .latency_us = atomic_load(
						&committer->latency_us),
		.batch_x100 = atomic_load(&committer->batch_x100),
		.is_full = atomic_load(&committer->is_full),
		.journal_used_bytes = atomic_load(&committer->used_bytes),
		.journal_size_bytes = atomic_load(&committer->size_bytes) };
}

/* -- the thread: jobs that it has taken */

static void
finish_job(struct committer *committer, struct commit_job *job)
{
	STAILQ_INSERT_TAIL(
	    job->done != NULL ? &committer->finished : &committer->spent, job,
	    next);
}

static void
fail_commit(struct committer *committer, struct commit_job *job, enum qq result)
{
	job->result = result;
	finish_job(committer, job);
}

/* Notes its end; who waits for that does so until it is durable. */
static void
take_end(struct committer *committer, struct commit_job *job)
{
	if (job->is_forgotten)
		journal_forget(committer->journal, job->message.id);
	else
		journal_end(committer->journal, job->message.id);
	if (committer->unwritten_since_ms == 0)
		committer->unwritten_since_ms = job->posted_at_ms;
	if (committer->unsynced_since_ms == 0)
		committer->unsynced_since_ms = job->posted_at_ms;
	if (job->is_waited_for || job->has_file)
		STAILQ_INSERT_TAIL(&committer->ends, job, next);
	else
		finish_job(committer, job);
}

static void
take_new(struct committer *committer, struct commit_job *job)
{
	struct journal_message *message = &job->message;

	message->record = job->record.data;
	message->record_length = job->record.length;
	if (!job->has_file) {
		message->body = job->body.data == NULL ? "" : job->body.data;
		message->size_bytes = job->body.length;
	}
	if (journal_fits(committer->journal, message)) {
		STAILQ_INSERT_TAIL(&committer->news, job, next);
		return;
	}
	error_set(&job->err, "message is too large for the journal");
	fail_commit(committer, job, QQ_WRITE_ERROR);
}

static void
take_jobs(struct committer *committer, struct job_list *jobs)
{
	struct commit_job *job;

	while ((job = take_commit_job(jobs)) != NULL)
		switch (job->type) {
		case COMMIT_NEW:
			take_new(committer, job);
			break;
		case COMMIT_END:
			take_end(committer, job);
			break;
		}
}

/* -- the thread: batches */

/* Messages that wait, as many as there is room for. */
static size_t
fill_batch(struct committer *committer, struct job_list *batch)
{
	struct commit_job *job;
	size_t bytes = 0, count = 0;

	while ((job = STAILQ_FIRST(&committer->news)) != NULL &&
	    bytes < BATCH_BYTES &&
	    journal_add(committer->journal, &job->message)) {
		job->segment = journal_segment(committer->journal);
		bytes += job->record.length + job->body.length;
		count++;
		STAILQ_REMOVE_HEAD(&committer->news, next);
		STAILQ_INSERT_TAIL(batch, job, next);
	}
	return count;
}

static void
end_batch(struct committer *committer, struct job_list *batch, int error)
{
	struct commit_job *job;

	while ((job = take_commit_job(batch)) != NULL) {
		errno = error;
		if (error != 0)
			error_sys(&job->err, "cannot write the journal");
		fail_commit(committer, job,
		    error == 0            ? QQ_OK
			: error == ENOSPC ? QQ_WRITE_ERROR
					  : QQ_SYNC);
	}
}

static int64_t
full_ms(void)
{
	return test_time_ms("COMMIT_FULL_MS", COMMIT_FULL_MS);
}

static bool
is_due(int64_t since_ms, int64_t span_ms, int64_t now_ms)
{
	return since_ms != 0 && now_ms >= since_ms + span_ms;
}

/* It is noted when that is possible; until then it is done as often as it has
 * to be. */
static void
fail_end(struct committer *committer, struct commit_job *job)
{
	error_set(&job->err, "cannot write the journal");
	fail_commit(committer, job, QQ_SYNC);
}

/* Those whose end is durable; and those who have waited for that too long. */
static void
finish_ends(struct committer *committer, int64_t now_ms)
{
	struct job_list waiting = STAILQ_HEAD_INITIALIZER(waiting);
	struct commit_job *job;

	STAILQ_CONCAT(&waiting, &committer->ends);
	while ((job = take_commit_job(&waiting)) != NULL) {
		uint64_t id = job->message.id;

		if (journal_is_ending(committer->journal, id)) {
			if (job->is_waited_for &&
			    is_due(job->posted_at_ms, full_ms(), now_ms))
				fail_end(committer, job);
			else
				STAILQ_INSERT_TAIL(&committer->ends, job, next);
			continue;
		}
		if (job->has_file &&
		    queue_unlink(committer->dir, QUEUE_MESS, id) == -1)
			log_line("warning: cannot remove '%s/mess/*/%" PRIu64
				 "': %m",
			    committer->dir->path, id);
		finish_job(committer, job);
	}
}

static bool
is_end_waited_for(const struct committer *committer)
{
	const struct commit_job *job;

	STAILQ_FOREACH(job, &committer->ends, next)
		if (job->is_waited_for)
			return true;
	return false;
}

static void
average(atomic_uint *value, uint32_t sample)
{
	uint32_t old = atomic_load(value);

	atomic_store(value, old == 0 ? sample : (old * 7 + sample) / 8);
}

/* From now on it is to be written, if there is anything. */
static void
note_unwritten(struct committer *committer)
{
	int64_t since_ms = journal_has_unwritten(committer->journal)
	    ? clock_ms()
	    : 0;

	committer->unwritten_since_ms = committer->unsynced_since_ms = since_ms;
}

/* Everything that is ready becomes durable. */
static void
commit_batch(
    struct committer *committer, struct job_list *batch, int64_t now_ms)
{
	int result = journal_commit(committer->journal);

	end_batch(committer, batch, result == 0 ? 0 : errno);
	finish_ends(committer, now_ms);
	note_unwritten(committer);
}

/* What waits too long for room is refused: the oldest are in front. */
static void
refuse_news(struct committer *committer, int64_t now_ms, bool is_last)
{
	struct commit_job *job;

	while ((job = STAILQ_FIRST(&committer->news)) != NULL &&
	    (is_last || is_due(job->posted_at_ms, full_ms(), now_ms))) {
		error_set(&job->err, "the journal is full");
		fail_commit(committer, take_commit_job(&committer->news),
		    QQ_WRITE_ERROR);
	}
}

/*
 * One batch, with these jobs.  True when more of those that were taken can be
 * done at once.
 */
static bool
run_batch(struct committer *committer, struct job_list *jobs, bool is_last)
{
	int64_t start_us = clock_us(), now_ms = start_us / 1000;
	struct job_list batch = STAILQ_HEAD_INITIALIZER(batch);
	size_t messages;

	take_jobs(committer, jobs);
	messages = fill_batch(committer, &batch);
	atomic_store(&committer->is_full,
	    messages == 0 && !STAILQ_EMPTY(&committer->news));
	if (messages > 0 || is_last || is_end_waited_for(committer) ||
	    is_due(committer->unsynced_since_ms, SYNC_ENDS_MS, now_ms)) {
		commit_batch(committer, &batch, now_ms);
	} else if (is_due(
		       committer->unwritten_since_ms, WRITE_ENDS_MS, now_ms)) {
		journal_write_ends(committer->journal);
		committer->unwritten_since_ms = 0;
	}
	if (messages == 0) {
		refuse_news(committer, now_ms, is_last);
		return false;
	}
	committer->linger_until_ms = now_ms + WRITE_ENDS_MS;
	average(&committer->latency_us, (uint32_t)(clock_us() - start_us));
	average(&committer->batch_x100, (uint32_t)messages * 100);
	atomic_store(&committer->has_new, true);
	return !STAILQ_EMPTY(&committer->news);
}

/* -- the thread: its loop */

static int64_t
earlier(int64_t a, int64_t since_ms, int64_t span_ms)
{
	if (since_ms == 0)
		return a;
	return a == 0 || since_ms + span_ms < a ? since_ms + span_ms : a;
}

/* clock_ms(): when there is something to do without a job; or 0. */
static int64_t
next_ms(const struct committer *committer, int64_t now_ms)
{
	int64_t due_ms = 0;

	if (!STAILQ_EMPTY(&committer->news) || is_end_waited_for(committer))
		due_ms = now_ms + RETRY_MS;
	due_ms = earlier(due_ms, committer->unwritten_since_ms, WRITE_ENDS_MS);
	due_ms = earlier(due_ms, committer->unsynced_since_ms, SYNC_ENDS_MS);
	return due_ms;
}

/* Waits for a signal, at most until then; or, with 0, for ever. */
static void
wait_until(struct committer *committer, int64_t until_ms)
{
	struct timespec until = { .tv_sec = until_ms / 1000,
		.tv_nsec = until_ms % 1000 * 1000000 };

	committer->sleeps_until_ms = until_ms != 0 ? until_ms : INT64_MAX;
	if (until_ms != 0)
		pthread_cond_timedwait(
		    &committer->job_waits, &committer->lock, &until);
	else
		pthread_cond_wait(&committer->job_waits, &committer->lock);
	committer->sleeps_until_ms = 0;
}

/* Until there is something to do; with the lock. */
static void
wait_for_jobs(struct committer *committer)
{
	int64_t now_ms = clock_ms(), due_ms = next_ms(committer, now_ms);

	while (!committer->is_ending && !committer->is_urgent) {
		due_ms = earlier(
		    due_ms, committer->posted_at_ms, WRITE_ENDS_MS);
		if (due_ms != 0 && now_ms >= due_ms)
			break;
		if (due_ms == 0 && now_ms < committer->linger_until_ms)
			wait_until(committer, committer->linger_until_ms);
		else
			wait_until(committer, due_ms);
		now_ms = clock_ms();
	}
}

/* With the lock.  True: the owner is to be woken, once for all of it. */
static bool
hand_back(struct committer *committer)
{
	struct journal_stats stats;
	uint64_t wanted = journal_wanted(committer->journal);
	bool wakes = !STAILQ_EMPTY(&committer->finished) &&
	    STAILQ_EMPTY(&committer->done);

	journal_read_stats(committer->journal, &stats);
	atomic_store(&committer->used_bytes, stats.used_bytes);
	atomic_store(&committer->size_bytes, stats.size_bytes);
	if (atomic_exchange(&committer->wanted, wanted) != wanted)
		wakes = true;
	STAILQ_CONCAT(&committer->done, &committer->finished);
	STAILQ_CONCAT(&committer->over, &committer->spent);
	return wakes;
}

static void *
run_committer(void *arg)
{
	struct committer *committer = arg;
	bool is_last = false, has_more = false;

	pthread_mutex_lock(&committer->lock);
	while (!is_last || has_more || !STAILQ_EMPTY(&committer->posted)) {
		struct job_list jobs = STAILQ_HEAD_INITIALIZER(jobs);

		if (!has_more)
			wait_for_jobs(committer);
		STAILQ_CONCAT(&jobs, &committer->posted);
		committer->is_urgent = false;
		committer->posted_at_ms = 0;
		is_last = committer->is_ending;
		pthread_mutex_unlock(&committer->lock);
		has_more = run_batch(committer, &jobs, is_last);
		pthread_mutex_lock(&committer->lock);
		if (!hand_back(committer))
			continue;
		pthread_mutex_unlock(&committer->lock);
		eventfd_write(committer->wake_fd, 1);
		pthread_mutex_lock(&committer->lock);
	}
	pthread_mutex_unlock(&committer->lock);
	return NULL;
}

static void
start_committing(struct committer *committer)
{
	pthread_condattr_t monotonic;

	pthread_mutex_init(&committer->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&committer->job_waits, &monotonic);
	pthread_condattr_destroy(&monotonic);
	if (thread_start(&committer->thread, run_committer, committer) == -1)
		fatal(111, "cannot start the committer thread");
}

struct committer *
committer_new(const struct queue_dir *dir, struct journal *journal, int wake_fd)
{
	struct committer *committer = xcalloc(1, sizeof(*committer));

	committer->dir = dir;
	committer->journal = journal;
	committer->wake_fd = wake_fd;
	STAILQ_INIT(&committer->gathered);
	STAILQ_INIT(&committer->news);
	STAILQ_INIT(&committer->ends);
	STAILQ_INIT(&committer->finished);
	STAILQ_INIT(&committer->spent);
	STAILQ_INIT(&committer->posted);
	STAILQ_INIT(&committer->done);
	STAILQ_INIT(&committer->over);
	/* What an earlier process left is wanted, or has ended. */
	if (hand_back(committer))
		eventfd_write(committer->wake_fd, 1);
	note_unwritten(committer);
	start_committing(committer);
	return committer;
}

static void
fail_ends(struct committer *committer)
{
	struct commit_job *job;

	while ((job = take_commit_job(&committer->ends)) != NULL)
		fail_end(committer, job);
	hand_back(committer);
}

void
committer_free(struct committer **committer_in)
{
	struct committer *committer = *committer_in;

	if (committer == NULL)
		return;
	commit_flush(committer);
	pthread_mutex_lock(&committer->lock);
	committer->is_ending = true;
	pthread_cond_signal(&committer->job_waits);
	pthread_mutex_unlock(&committer->lock);
	pthread_join(committer->thread, NULL);
	fail_ends(committer);
	commit_reap(committer);
	free_jobs(&committer->over);
	pthread_cond_destroy(&committer->job_waits);
	pthread_mutex_destroy(&committer->lock);
	free(committer);
	*committer_in = NULL;
}
