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

#include "base/mem.h"

struct job {
	void (*run)(void *argument); /* NULL: none */
	void *argument;
};

/*
 * Where a thread waits for its next job.  Seats outlive their threads, so one
 * may be woken after the lock was given up: else the thread would wake up only
 * to wait for the lock.  A semaphore and no condition: who comes back from
 * pthread_cond_wait() pays a system call more when it gives up the lock.
 */
struct seat {
	struct seat *next;
	sem_t wake;
	struct job job; /* of whom has taken the seat off the idle ones */
};

struct worker_pool {
	pthread_attr_t attributes;
	unsigned max_idle;
	/* all below under lock */
	pthread_mutex_t lock;
	pthread_cond_t all_gone;
	struct seat *idle;  /* the last to become idle is taken first */
	struct seat *empty; /* seats that nobody waits on */
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

/* What a new thread gets; freed by it. */
struct start {
	struct worker_pool *pool;
	struct job job;
};

static struct seat *
take_seat(struct worker_pool *pool)
{
	struct seat *seat = pool->empty;

	if (seat != NULL)
		pool->empty = seat->next;
	else {
		seat = xcalloc(1, sizeof(*seat));
		sem_init(&seat->wake, 0, 0);
	}
	seat->job.run = NULL;
	return seat;
}

static void
free_seats(struct seat *seat)
{
	while (seat != NULL) {
		struct seat *next = seat->next;

		sem_destroy(&seat->wake);
		free(seat);
		seat = next;
	}
}

/* Waits for a job, without the lock, which is held before and after. */
static struct job
wait_for_job(struct worker_pool *pool)
{
	struct job job = { .run = NULL };
	struct seat *seat;

	if (pool->is_ending || pool->idle_count >= pool->max_idle)
		return job;
	seat = take_seat(pool);
	seat->next = pool->idle;
	pool->idle = seat;
	pool->idle_count++;
	pthread_mutex_unlock(&pool->lock);
	/* Whoever gives the job takes the seat from the list, as the end does.
	 */
	while (sem_wait(&seat->wake) == -1)
		;
	pthread_mutex_lock(&pool->lock);
	job = seat->job;
	seat->next = pool->empty;
	pool->empty = seat;
	return job;
}

static void *
run_worker(void *argument)
{
	struct start *start = argument;
	struct worker_pool *pool = start->pool;
	struct job job = start->job;
	pthread_t previous;
	bool has_previous;

	free(start);
	do {
		job.run(job.argument);
		pthread_mutex_lock(&pool->lock);
		job = wait_for_job(pool);
		if (job.run != NULL)
			pthread_mutex_unlock(&pool->lock);
	} while (job.run != NULL);

	previous = pool->ended;
	has_previous = pool->has_ended;
	pool->ended = pthread_self();
	pool->has_ended = true;
	if (--pool->worker_count == 0)
		pthread_cond_signal(&pool->all_gone);
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
	for (seat = pool->idle; seat != NULL; seat = seat->next)
		sem_post(&seat->wake);
	pool->idle = NULL;
	while (pool->worker_count > 0)
		pthread_cond_wait(&pool->all_gone, &pool->lock);
	pthread_mutex_unlock(&pool->lock);
	if (pool->has_ended)
		pthread_join(pool->ended, NULL);
	free_seats(pool->empty);
	pthread_attr_destroy(&pool->attributes);
	pthread_cond_destroy(&pool->all_gone);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
	*pool_in = NULL;
}

/* Gives the job to an idle thread, if there is one. */
static bool
run_on_idle(struct worker_pool *pool, const struct job *job)
{
	struct seat *seat;

	pthread_mutex_lock(&pool->lock);
	seat = pool->idle;
	if (seat == NULL) {
		pool->worker_count++; /* the new thread, before it may end */
		pthread_mutex_unlock(&pool->lock);
		return false;
	}
	pool->idle = seat->next;
	pool->idle_count--;
	seat->job = *job;
	pthread_mutex_unlock(&pool->lock);
	sem_post(&seat->wake);
	return true;
}

int
worker_pool_run(
    struct worker_pool *pool, void (*run)(void *argument), void *argument)
{
	struct job job = { .run = run, .argument = argument };
	struct start *start;
	pthread_t thread;
	int error;

	if (run_on_idle(pool, &job))
		return 0;
	start = xmalloc(sizeof(*start));
	*start = (struct start){ .pool = pool, .job = job };
	error = pthread_create(&thread, &pool->attributes, run_worker, start);
	if (error == 0)
		return 0;
	free(start);
	pthread_mutex_lock(&pool->lock);
	if (--pool->worker_count == 0)
		pthread_cond_signal(&pool->all_gone);
	pthread_mutex_unlock(&pool->lock);
	errno = error;
	return -1;
}
