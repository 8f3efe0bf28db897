/* SPDX-License-Identifier: ISC */
/* Threads that do for an event loop what may block. */
#include "base/work_pool.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/signals.h"

STAILQ_HEAD(work_list, work);

struct work_pool {
	/* the owner's own */
	size_t count;
	pthread_t *threads;
	unsigned thread_count;
	int wake_fd;
	pthread_mutex_t lock; /* for what follows */
	pthread_cond_t work_waits;
	struct work_list posted, finished;
	bool is_ending;
};

/* The first one, taken off the list; NULL: there is none. */
static struct work *
take_work(struct work_list *list)
{
	struct work *work = STAILQ_FIRST(list);

	if (work != NULL)
		STAILQ_REMOVE_HEAD(list, next);
	return work;
}

static void *
run_works(void *arg)
{
	struct work_pool *pool = arg;

	pthread_mutex_lock(&pool->lock);
	for (;;) {
		struct work *work;
		bool is_first;

		while (STAILQ_EMPTY(&pool->posted) && !pool->is_ending)
			pthread_cond_wait(&pool->work_waits, &pool->lock);
		work = take_work(&pool->posted);
		if (work == NULL)
			break;
		pthread_mutex_unlock(&pool->lock);
		work->run(work);
		pthread_mutex_lock(&pool->lock);
		is_first = STAILQ_EMPTY(&pool->finished);
		STAILQ_INSERT_TAIL(&pool->finished, work, next);
		if (!is_first)
			continue;
		pthread_mutex_unlock(&pool->lock);
		eventfd_write(pool->wake_fd, 1);
		pthread_mutex_lock(&pool->lock);
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

struct work_pool *
work_pool_new(unsigned threads, int wake_fd)
{
	struct work_pool *pool = xcalloc(1, sizeof(*pool));

	pool->wake_fd = wake_fd;
	STAILQ_INIT(&pool->posted);
	STAILQ_INIT(&pool->finished);
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->work_waits, NULL);
	pool->threads = xcalloc(threads, sizeof(*pool->threads));
	while (pool->thread_count < threads &&
	    thread_start(&pool->threads[pool->thread_count], run_works, pool) ==
		0)
		pool->thread_count++;
	if (pool->thread_count == 0)
		fatal(111, "cannot start a thread");
	return pool;
}

void
work_pool_free(struct work_pool **pool_in)
{
	struct work_pool *pool = *pool_in;
	struct work *work;
	unsigned i;

	if (pool == NULL)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->is_ending = true;
	pthread_cond_broadcast(&pool->work_waits);
	pthread_mutex_unlock(&pool->lock);
	for (i = 0; i < pool->thread_count; i++)
		pthread_join(pool->threads[i], NULL);
	work_pool_reap(pool);
	/* No thread is left for what done has posted meanwhile. */
	while ((work = take_work(&pool->posted)) != NULL) {
		work->run(work);
		work->done(work);
	}
	pthread_cond_destroy(&pool->work_waits);
	pthread_mutex_destroy(&pool->lock);
	free(pool->threads);
	free(pool);
	*pool_in = NULL;
}

void
work_pool_post(struct work_pool *pool, struct work *work,
    void (*run)(struct work *work), void (*done)(struct work *work))
{
	*work = (struct work){ .run = run, .done = done };
	pool->count++;
	pthread_mutex_lock(&pool->lock);
	STAILQ_INSERT_TAIL(&pool->posted, work, next);
	pthread_mutex_unlock(&pool->lock);
	pthread_cond_signal(&pool->work_waits);
}

void
work_pool_reap(struct work_pool *pool)
{
	struct work_list finished = STAILQ_HEAD_INITIALIZER(finished);
	struct work *work;

	pthread_mutex_lock(&pool->lock);
	STAILQ_CONCAT(&finished, &pool->finished);
	pthread_mutex_unlock(&pool->lock);
	while ((work = take_work(&finished)) != NULL) {
		pool->count--;
		work->done(work);
	}
}

size_t
work_pool_count(const struct work_pool *pool)
{
	return pool->count;
}
