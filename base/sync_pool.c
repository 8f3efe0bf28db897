/* SPDX-License-Identifier: ISC */
/* Syncs several descriptors at once. */
#include "base/sync_pool.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"

/* A helper is woken for so many jobs: waking one costs as much as a sync. */
enum { JOBS_A_HELPER = 3 };

struct sync_pool {
	pthread_t *threads;
	unsigned thread_count;
	/* set by the caller before it posts start; read by the helpers after */
	struct sync_job *jobs;
	size_t count;
	bool is_ending;
	sem_t start;
	atomic_size_t next;       /* the first job that nobody has taken */
	atomic_uint helpers_busy; /* the last one posts done */
	sem_t done;
};

static void
sync_some(struct sync_pool *pool)
{
	size_t at;

	while ((at = atomic_fetch_add(&pool->next, 1)) < pool->count) {
		struct sync_job *job = &pool->jobs[at];
		int result = job->is_folder ? fsync(job->fd)
					    : fdatasync(job->fd);

		job->error = result == -1 ? errno : 0;
	}
}

static void
wait_semaphore(sem_t *semaphore)
{
	while (sem_wait(semaphore) == -1)
		continue; /* EINTR is all there is */
}

static void *
help(void *arg)
{
	struct sync_pool *pool = arg;

	for (;;) {
		wait_semaphore(&pool->start);
		if (pool->is_ending)
			return NULL;
		sync_some(pool);
		if (atomic_fetch_sub(&pool->helpers_busy, 1) == 1)
			sem_post(&pool->done);
	}
}

struct sync_pool *
sync_pool_new(unsigned threads)
{
	struct sync_pool *pool = xcalloc(1, sizeof(*pool));
	pthread_attr_t attr;
	sigset_t all;

	sem_init(&pool->start, 0, 0);
	sem_init(&pool->done, 0, 0);
	pool->threads = xcalloc(threads, sizeof(*pool->threads));
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 * 1024);
	sigfillset(&all); /* signals are main's */
	pthread_attr_setsigmask_np(&attr, &all);
	/* Perhaps fewer; the caller works too. */
	while (pool->thread_count < threads &&
	    pthread_create(
		&pool->threads[pool->thread_count], &attr, help, pool) == 0)
		pool->thread_count++;
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
	pool->is_ending = true;
	for (i = 0; i < pool->thread_count; i++)
		sem_post(&pool->start);
	for (i = 0; i < pool->thread_count; i++)
		pthread_join(pool->threads[i], NULL);
	sem_destroy(&pool->start);
	sem_destroy(&pool->done);
	free(pool->threads);
	free(pool);
	*pool_in = NULL;
}

void
sync_pool_run(struct sync_pool *pool, struct sync_job *jobs, size_t count)
{
	size_t helpers = count / JOBS_A_HELPER, i;

	if (count == 0)
		return;
	if (helpers > pool->thread_count)
		helpers = pool->thread_count;
	pool->jobs = jobs;
	pool->count = count;
	atomic_store(&pool->next, 0);
	atomic_store(&pool->helpers_busy, (unsigned)helpers);
	for (i = 0; i < helpers; i++)
		sem_post(&pool->start);
	sync_some(pool);
	if (helpers > 0)
		wait_semaphore(&pool->done);
}
