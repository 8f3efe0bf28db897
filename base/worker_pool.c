/* SPDX-License-Identifier: ISC */
/* Threads that each run one job at a time. */
#include "base/worker_pool.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "base/mem.h"

/*
 * A thread's place, where it gets its jobs.  Seats outlive their threads, so
 * one may be woken after the lock was given up: else the thread would wake up
 * only to wait for the lock.  A semaphore and no condition: who comes back from
 * pthread_cond_wait() needs the lock, too.
 */
struct seat {
	struct worker_pool *pool;
	SLIST_ENTRY(seat) link;
	sem_t wake;
	void (*run)(void *argument); /* the job; NULL: none, the pool ends */
	void *argument;
};

SLIST_HEAD(seat_list, seat);

struct worker_pool {
	pthread_attr_t attributes;
	unsigned max_idle;
	/* all below under lock */
	pthread_mutex_t lock;
	pthread_cond_t all_gone;
	struct seat_list idle;  /* the last to become idle is taken first */
	struct seat_list empty; /* without a thread */
	unsigned idle_count;
	unsigned worker_count;
	bool is_ending;
	/*
	 * The thread that ended last, still to be joined.  Whoever ends next
	 * joins it, so nothing piles up and worker_pool_free() knows that
	 * every thread has really gone.
	 */
	pthread_t ended;
	bool has_ended;
};

/* Waits until the seat has a job; false: the thread is not needed any more. */
static bool
wait_for_job(struct worker_pool *pool, struct seat *seat)
{
	bool waits;

	seat->run = NULL;
	pthread_mutex_lock(&pool->lock);
	waits = !pool->is_ending && pool->idle_count < pool->max_idle;
	if (waits) {
		SLIST_INSERT_HEAD(&pool->idle, seat, link);
		pool->idle_count++;
	}
	pthread_mutex_unlock(&pool->lock);
	/* Whoever wakes it has taken the seat from the list. */
	while (waits && sem_wait(&seat->wake) == -1)
		;
	return seat->run != NULL;
}

/* With the lock: the seat has no thread. */
static void
leave_seat(struct worker_pool *pool, struct seat *seat)
{
	SLIST_INSERT_HEAD(&pool->empty, seat, link);
	if (--pool->worker_count == 0)
		pthread_cond_signal(&pool->all_gone);
}

static void *
run_worker(void *argument)
{
	struct seat *seat = argument;
	struct worker_pool *pool = seat->pool;
	pthread_t previous;
	bool has_previous;

	do
		seat->run(seat->argument);
	while (wait_for_job(pool, seat));
	pthread_mutex_lock(&pool->lock);
	previous = pool->ended;
	has_previous = pool->has_ended;
	pool->ended = pthread_self();
	pool->has_ended = true;
	leave_seat(pool, seat);
	pthread_mutex_unlock(&pool->lock);
	if (has_previous)
		pthread_join(previous, NULL);
	return NULL;
}

struct worker_pool *
worker_pool_new(size_t stack_bytes, unsigned max_idle)
{
	struct worker_pool *pool = xcalloc(1, sizeof(*pool));
	size_t least = (size_t)PTHREAD_STACK_MIN;
	sigset_t all;

	pool->max_idle = max_idle;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->all_gone, NULL);
	pthread_attr_init(&pool->attributes);
	pthread_attr_setstacksize(
	    &pool->attributes, stack_bytes > least ? stack_bytes : least);
	sigfillset(&all);
	pthread_attr_setsigmask_np(&pool->attributes, &all);
	return pool;
}

void
worker_pool_free(struct worker_pool **pool_in)
{
	struct worker_pool *pool = *pool_in;
	struct seat *seat;

	if (pool == NULL)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->is_ending = true;
	while ((seat = SLIST_FIRST(&pool->idle)) != NULL) {
		SLIST_REMOVE_HEAD(&pool->idle, link);
		sem_post(&seat->wake);
	}
	while (pool->worker_count > 0)
		pthread_cond_wait(&pool->all_gone, &pool->lock);
	pthread_mutex_unlock(&pool->lock);
	if (pool->has_ended)
		pthread_join(pool->ended, NULL);
	while ((seat = SLIST_FIRST(&pool->empty)) != NULL) {
		SLIST_REMOVE_HEAD(&pool->empty, link);
		sem_destroy(&seat->wake);
		free(seat);
	}
	pthread_attr_destroy(&pool->attributes);
	pthread_cond_destroy(&pool->all_gone);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
	*pool_in = NULL;
}

/* With the lock: a seat for a new thread. */
static struct seat *
take_seat(struct worker_pool *pool)
{
	struct seat *seat = SLIST_FIRST(&pool->empty);

	pool->worker_count++; /* before it may end */
	if (seat != NULL)
		SLIST_REMOVE_HEAD(&pool->empty, link);
	else {
		seat = xcalloc(1, sizeof(*seat));
		seat->pool = pool;
		sem_init(&seat->wake, 0, 0);
	}
	return seat;
}

int
worker_pool_run(
    struct worker_pool *pool, void (*run)(void *argument), void *argument)
{
	struct seat *seat;
	pthread_t thread;
	bool is_idle;
	int error;

	pthread_mutex_lock(&pool->lock);
	seat = SLIST_FIRST(&pool->idle);
	is_idle = seat != NULL;
	if (is_idle) {
		SLIST_REMOVE_HEAD(&pool->idle, link);
		pool->idle_count--;
	} else
		seat = take_seat(pool);
	seat->run = run;
	seat->argument = argument;
	pthread_mutex_unlock(&pool->lock);
	if (is_idle) {
		sem_post(&seat->wake);
		return 0;
	}
	error = pthread_create(&thread, &pool->attributes, run_worker, seat);
	if (error == 0)
		return 0;
	pthread_mutex_lock(&pool->lock);
	leave_seat(pool, seat);
	pthread_mutex_unlock(&pool->lock);
	errno = error;
	return -1;
}
