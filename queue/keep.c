/* SPDX-License-Identifier: ISC */
/* The keeper: its thread, its jobs and their batches. */
#include "queue/keep.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/signals.h"
#include "queue/exitcode.h"
#include "queue/idmap.h"
#include "queue/keep_private.h"

enum { SYNC_THREADS = 16 };

struct keeper {
	struct keep_syncs syncs; /* the thread's own */
	pthread_t thread;
	int wake_fd;
	pthread_mutex_t lock; /* for what follows */
	pthread_cond_t job_waits;
	struct keep_jobs posted, done;
	bool is_ending;
};

struct keep_job *
keep_job_new(enum keep_type type, uint64_t id)
{
	struct keep_job *job = xcalloc(1, sizeof(*job));

	job->type = type;
	job->id = id;
	job->note_at = -1;
	for (int i = 0; i < KEEP_TEXT_COUNT; i++)
		job->files[i] = -1;
	return job;
}

void
keep_job_free(struct keep_job **job_in)
{
	struct keep_job *job = *job_in;

	if (job == NULL)
		return;
	for (int i = 0; i < KEEP_TEXT_COUNT; i++)
		buf_release(&job->text[i]);
	free(job->marks);
	free(job);
	*job_in = NULL;
}

void
keep_post(struct keeper *keeper, struct keep_job *job)
{
	pthread_mutex_lock(&keeper->lock);
	STAILQ_INSERT_TAIL(&keeper->posted, job, in_list);
	pthread_cond_signal(&keeper->job_waits);
	pthread_mutex_unlock(&keeper->lock);
}

/*
 * Takes the next batch: up to BATCH_MAX jobs, and up to the second one of a
 * message, as steps of one message's jobs follow each other.  With the lock
 * held.
 */
static void
take_batch(struct keeper *keeper, struct keep_jobs *batch_out)
{
	AUTO(idmap_release) struct idmap ids = { .slots = NULL };
	struct keep_job *job;

	STAILQ_INIT(batch_out);
	while ((job = STAILQ_FIRST(&keeper->posted)) != NULL &&
	    ids.count < KEEP_BATCH_MAX && idmap_put(&ids, job->id, NULL)) {
		STAILQ_REMOVE_HEAD(&keeper->posted, in_list);
		STAILQ_INSERT_TAIL(batch_out, job, in_list);
	}
}

static void *
run_keeper(void *arg)
{
	struct keeper *keeper = arg;
	struct keep_jobs batch;

	pthread_mutex_lock(&keeper->lock);
	for (;;) {
		while (STAILQ_EMPTY(&keeper->posted) && !keeper->is_ending)
			pthread_cond_wait(&keeper->job_waits, &keeper->lock);
		if (STAILQ_EMPTY(&keeper->posted))
			break;
		take_batch(keeper, &batch);
		pthread_mutex_unlock(&keeper->lock);
		keep_run(&keeper->syncs, &batch);
		pthread_mutex_lock(&keeper->lock);
		STAILQ_CONCAT(&keeper->done, &batch);
		eventfd_write(keeper->wake_fd, 1);
	}
	pthread_mutex_unlock(&keeper->lock);
	return NULL;
}

struct keeper *
keeper_new(const struct queue_dir *dir, int wake_fd)
{
	struct keeper *keeper = xcalloc(1, sizeof(*keeper));

	keep_syncs_init(&keeper->syncs, dir, SYNC_THREADS);
	keeper->wake_fd = wake_fd;
	STAILQ_INIT(&keeper->posted);
	STAILQ_INIT(&keeper->done);
	pthread_mutex_init(&keeper->lock, NULL);
	pthread_cond_init(&keeper->job_waits, NULL);
	if (thread_start(&keeper->thread, run_keeper, keeper) == -1)
		fatal(111, "cannot start the keeper thread");
	return keeper;
}

void
keeper_free(struct keeper **keeper_in)
{
	struct keeper *keeper = *keeper_in;

	if (keeper == NULL)
		return;
	pthread_mutex_lock(&keeper->lock);
	keeper->is_ending = true;
	pthread_cond_signal(&keeper->job_waits);
	pthread_mutex_unlock(&keeper->lock);
	pthread_join(keeper->thread, NULL);
	keep_reap(keeper);
	keep_syncs_release(&keeper->syncs);
	pthread_cond_destroy(&keeper->job_waits);
	pthread_mutex_destroy(&keeper->lock);
	free(keeper);
	*keeper_in = NULL;
}

void
keep_reap(struct keeper *keeper)
{
	struct keep_jobs jobs = STAILQ_HEAD_INITIALIZER(jobs);
	struct keep_job *job;

	pthread_mutex_lock(&keeper->lock);
	STAILQ_CONCAT(&jobs, &keeper->done);
	pthread_mutex_unlock(&keeper->lock);
	while ((job = STAILQ_FIRST(&jobs)) != NULL) {
		STAILQ_REMOVE_HEAD(&jobs, in_list);
		job->done(job, job->context);
	}
}
