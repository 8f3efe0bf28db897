/* SPDX-License-Identifier: ISC */
/* The committer: the thread, its batches and their order. */
#include "queue/commit.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sync_pool.h"
#include "queue/commit_step.h"
#include "queue/exitcode.h"
#include "queue/idmap.h"

enum {
	SYNC_THREADS = 16,
	BATCH_MAX = 128,
	PATIENCE_US = 10000 /* how long a patient job waits for others */
};

struct committer {
	struct commit_batch batch; /* the thread's own */
	struct sync_pool *syncs;
	pthread_t thread;
	int wake_fd;
	struct idmap new_ids; /* the owner's own */
	atomic_uint latency_us, batch_x100;
	atomic_bool has_new;  /* a batch had new mail since commit_fade() */
	pthread_mutex_t lock; /* for what follows */
	pthread_cond_t job_waits;
	struct commit_job *posted, **posted_end;
	struct commit_job *done, **done_end;
	int64_t patient_since_us; /* clock_us() of the first posted, if all
				   * that is posted is patient; else 0 */
	bool is_ending;
};

struct commit_job *
commit_job_new(enum commit_type type, uint64_t id)
{
	struct commit_job *job = xcalloc(1, sizeof(*job));
	size_t i;

	job->type = type;
	job->id = id;
	job->spare = (struct spare){
		.id = id, .mess_fd = -1, .envelope_fd = -1
	};
	for (i = 0; i < sizeof(job->files) / sizeof(job->files[0]); i++)
		job->files[i] = -1;
	return job;
}

void
commit_job_free(struct commit_job **job_in)
{
	struct commit_job *job = *job_in;
	int i;

	if (job == NULL)
		return;
	spare_close(&job->spare);
	for (i = 0; i < COMMIT_TEXT_COUNT; i++)
		buf_release(&job->text[i]);
	free(job->marks);
	free(job);
	*job_in = NULL;
}

static void
append(struct commit_job ***end, struct commit_job *job)
{
	job->next = NULL;
	**end = job;
	*end = &job->next;
}

bool
commit_is_new(const struct committer *committer, uint64_t id)
{
	return idmap_has(&committer->new_ids, id);
}

/*
 * Nobody waits for the end of a delivered message: it can go with the next
 * batch, so that the thread wakes once for many.
 */
static bool
is_patient(const struct commit_job *job)
{
	return job->type == COMMIT_FINISH;
}

void
commit_post(struct committer *committer, struct commit_job *job)
{
	bool is_first, wakes = !is_patient(job);

	if (job->type == COMMIT_NEW)
		idmap_put(&committer->new_ids, job->id, NULL);
	pthread_mutex_lock(&committer->lock);
	is_first = committer->posted == NULL;
	if (wakes)
		committer->patient_since_us = 0;
	else if (is_first) {
		/* It wakes to wait for the end of this one's patience. */
		committer->patient_since_us = clock_us();
		wakes = true;
	}
	append(&committer->posted_end, job);
	if (wakes)
		pthread_cond_signal(&committer->job_waits);
	pthread_mutex_unlock(&committer->lock);
}

static void
average(atomic_uint *value, uint32_t sample)
{
	uint32_t old = atomic_load(value);

	atomic_store(value, old == 0 ? sample : (old * 7 + sample) / 8);
}

/* Syncs what the batch gathered, and hands errors to the jobs. */
static void
sync_batch(struct committer *committer)
{
	struct commit_batch *batch = &committer->batch;

	sync_pool_run(committer->syncs, batch->syncs, batch->sync_count);
	commit_check_syncs(batch);
}

static void
run_batch(struct committer *committer, struct commit_job *jobs)
{
	struct commit_batch *batch = &committer->batch;
	int64_t start = clock_us();
	struct commit_job *job;
	unsigned messages = 0;

	commit_begin(batch, start / 1000);
	for (job = jobs; job != NULL; job = job->next) {
		messages += job->type == COMMIT_NEW;
		commit_write(batch, job);
	}
	sync_batch(committer);
	for (job = jobs; job != NULL; job = job->next)
		if (job->result == QQ_OK)
			commit_place(batch, job);
	/* Removals alone can wait a little for others' sync of the folder. */
	if (commit_needs_folder_sync(batch, clock_us())) {
		commit_gather_folders(batch);
		sync_batch(committer);
		commit_release_pairs(batch);
	}
	for (job = jobs; job != NULL; job = job->next)
		commit_end(batch, job);
	commit_write_journal(batch);
	if (messages == 0)
		return;
	average(&committer->latency_us, (uint32_t)(clock_us() - start));
	average(&committer->batch_x100, messages * 100);
	atomic_store(&committer->has_new, true);
}

/* Takes up to BATCH_MAX posted jobs; with the lock held. */
static struct commit_job *
take_jobs(struct committer *committer)
{
	struct commit_job *first = committer->posted, *last = first;
	int count;

	if (first == NULL)
		return NULL;
	for (count = 1; last->next != NULL && count < BATCH_MAX; count++)
		last = last->next;
	committer->posted = last->next;
	committer->patient_since_us = 0;
	if (last->next == NULL)
		committer->posted_end = &committer->posted;
	last->next = NULL;
	return first;
}

/* Waits for a signal, at most until end_us. */
static void
wait_until(struct committer *committer, int64_t end_us)
{
	struct timespec until = { .tv_sec = end_us / 1000000,
		.tv_nsec = end_us % 1000000 * 1000 };

	pthread_cond_timedwait(&committer->job_waits, &committer->lock, &until);
}

/* Waits for work.  NULL with nothing posted: linger is over, or the end. */
static struct commit_job *
wait_jobs(struct committer *committer)
{
	int64_t due_us = commit_due_us(&committer->batch);

	if (committer->posted == NULL && !committer->is_ending) {
		if (due_us != 0)
			wait_until(committer, due_us);
		else
			pthread_cond_wait(
			    &committer->job_waits, &committer->lock);
	}
	while (committer->posted != NULL && !committer->is_ending &&
	    committer->patient_since_us != 0 &&
	    clock_us() < committer->patient_since_us + PATIENCE_US)
		wait_until(
		    committer, committer->patient_since_us + PATIENCE_US);
	return take_jobs(committer);
}

static void
hand_back(struct committer *committer, struct commit_job *jobs)
{
	uint64_t one = 1;
	struct commit_job *next;

	for (; jobs != NULL; jobs = next) {
		next = jobs->next;
		append(&committer->done_end, jobs);
	}
	/* Cannot fail: the counter is far from full, and the fd is ours. */
	if (write(committer->wake_fd, &one, sizeof(one)) == -1 &&
	    errno != EAGAIN)
		log_line("alert: cannot wake the event loop");
}

/* Without jobs: is there something to do all the same? */
static bool
is_due(const struct committer *committer, bool is_last)
{
	int64_t due_us = commit_due_us(&committer->batch);

	if (is_last)
		return commit_has_waiting(&committer->batch);
	return due_us != 0 && due_us <= clock_us();
}

static void *
run(void *arg)
{
	struct committer *committer = arg;
	bool is_last = false;

	pthread_mutex_lock(&committer->lock);
	while (!is_last) {
		struct commit_job *jobs = wait_jobs(committer);

		is_last = committer->is_ending && jobs == NULL;
		if (jobs == NULL && !is_due(committer, is_last))
			continue;
		pthread_mutex_unlock(&committer->lock);
		if (jobs == NULL)
			commit_want_folder_sync(&committer->batch);
		run_batch(committer, jobs);
		pthread_mutex_lock(&committer->lock);
		if (jobs != NULL)
			hand_back(committer, jobs);
	}
	pthread_mutex_unlock(&committer->lock);
	return NULL;
}

struct committer *
committer_new(const struct queue_dir *dir, struct spare_pool *pool,
    struct journal *journal, int wake_fd)
{
	struct committer *committer = xcalloc(1, sizeof(*committer));
	pthread_condattr_t monotonic;
	sigset_t all, old;

	commit_batch_init(&committer->batch, dir, pool, journal);
	committer->syncs = sync_pool_new(SYNC_THREADS);
	committer->wake_fd = wake_fd;
	committer->posted_end = &committer->posted;
	committer->done_end = &committer->done;
	pthread_mutex_init(&committer->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&committer->job_waits, &monotonic);
	pthread_condattr_destroy(&monotonic);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old); /* signals are main's */
	if (pthread_create(&committer->thread, NULL, run, committer) != 0)
		fatal(111, "cannot start the committer thread");
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return committer;
}

void
committer_free(struct committer **committer_in)
{
	struct committer *committer = *committer_in;

	if (committer == NULL)
		return;
	pthread_mutex_lock(&committer->lock);
	committer->is_ending = true;
	pthread_cond_signal(&committer->job_waits);
	pthread_mutex_unlock(&committer->lock);
	pthread_join(committer->thread, NULL);
	commit_reap(committer);
	sync_pool_free(&committer->syncs);
	commit_batch_release(&committer->batch);
	idmap_release(&committer->new_ids);
	pthread_cond_destroy(&committer->job_waits);
	pthread_mutex_destroy(&committer->lock);
	free(committer);
	*committer_in = NULL;
}

void
commit_reap(struct committer *committer)
{
	struct commit_job *jobs, *next;

	pthread_mutex_lock(&committer->lock);
	jobs = committer->done;
	committer->done = NULL;
	committer->done_end = &committer->done;
	pthread_mutex_unlock(&committer->lock);
	for (; jobs != NULL; jobs = next) {
		next = jobs->next;
		if (jobs->type == COMMIT_NEW)
			idmap_remove(&committer->new_ids, jobs->id);
		jobs->done(jobs, jobs->context);
	}
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
commit_read_stats(struct committer *committer, struct commit_stats *stats_out)
{
	stats_out->latency_us = atomic_load(&committer->latency_us);
	stats_out->batch_x100 = atomic_load(&committer->batch_x100);
}
