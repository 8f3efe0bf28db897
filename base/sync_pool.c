/* SPDX-License-Identifier: ISC */
/* Syncs several descriptors at once. */
#include "base/sync_pool.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"

struct sync_pool {
	pthread_t *threads;
	unsigned thread_count;
	/* all below under lock */
	pthread_mutex_t lock;
	pthread_cond_t work_waits, work_done;
	struct sync_job *jobs;
	size_t next, count, unfinished;
	bool is_ending;
};

static void
sync_one(struct sync_job *job)
{
	int result = job->is_folder ? fsync(job->fd) : fdatasync(job->fd);

	job->error = result == -1 ? errno : 0;
}

/* Takes jobs until none waits; called and returns with the lock held. */
static void
work(struct sync_pool *pool)
{
	while (pool->next < pool->count) {
		struct sync_job *job = &pool->jobs[pool->next++];

		pthread_mutex_unlock(&pool->lock);
		sync_one(job);
		pthread_mutex_lock(&pool->lock);
		if (--pool->unfinished == 0)
			pthread_cond_signal(&pool->work_done);
	}
}

static void *
worker(void *arg)
{
	struct sync_pool *pool = arg;

	pthread_mutex_lock(&pool->lock);
	while (!pool->is_ending) {
		work(pool);
		pthread_cond_wait(&pool->work_waits, &pool->lock);
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

struct sync_pool *
sync_pool_new(unsigned threads)
{
	struct sync_pool *pool = xcalloc(1, sizeof(*pool));
	pthread_attr_t attr;
	sigset_t all, old;
	unsigned i;

	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->work_waits, NULL);
	pthread_cond_init(&pool->work_done, NULL);
	pool->threads = xcalloc(threads, sizeof(*pool->threads));
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 * 1024);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old); /* signals are main's */
	for (i = 0; i < threads; i++) {
		if (pthread_create(&pool->threads[i], &attr, worker, pool) != 0)
			fatal(111, "cannot start a sync thread");
		pool->thread_count++;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return pool;
}

void
sync_pool_free(struct sync_pool **pool_in)
{
	struct sync_pool *pool = *pool_in;
	unsigned i;

	if (pool == NULL)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->is_ending = true;
	pthread_cond_broadcast(&pool->work_waits);
	pthread_mutex_unlock(&pool->lock);
	for (i = 0; i < pool->thread_count; i++)
		pthread_join(pool->threads[i], NULL);
	pthread_cond_destroy(&pool->work_done);
	pthread_cond_destroy(&pool->work_waits);
	pthread_mutex_destroy(&pool->lock);
	free(pool->threads);
	free(pool);
	*pool_in = NULL;
}

void
sync_pool_run(struct sync_pool *pool, struct sync_job *jobs, size_t count)
{
	size_t helpers = count > 0 ? count - 1 : 0, i;

	if (count == 0)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->jobs = jobs;
	pool->count = pool->unfinished = count;
	pool->next = 0;
	/* The caller takes jobs too, so one fewer is woken than there are. */
	if (helpers >= pool->thread_count)
		pthread_cond_broadcast(&pool->work_waits);
	else
		for (i = 0; i < helpers; i++)
			pthread_cond_signal(&pool->work_waits);
	work(pool);
	while (pool->unfinished > 0)
		pthread_cond_wait(&pool->work_done, &pool->lock);
	pool->jobs = NULL;
	pool->count = pool->next = 0;
	pthread_mutex_unlock(&pool->lock);
}
