/* SPDX-License-Identifier: ISC */
/*
 * Threads that each run one job at a time, for jobs that wait much.
 *
 * Every job gets a thread at once.  A thread that is done stays for the next
 * job, if few others do, since starting one costs more than waking one.
 */
#ifndef BASE_WORKER_POOL_H
#define BASE_WORKER_POOL_H

#include <stddef.h>

struct worker_pool;

/* Up to max_idle threads are kept; signals are blocked in all of them. */
struct worker_pool *worker_pool_new(size_t stack_bytes, unsigned max_idle);

/* Waits for all jobs to end. */
void worker_pool_free(struct worker_pool **pool);

/*
 * Runs the job on a thread of the pool; any thread may ask.  Returns 0, or -1
 * with errno when a thread was needed and could not be started; then the job
 * does not run.
 */
int worker_pool_run(
    struct worker_pool *pool, void (*run)(void *argument), void *argument);

#endif
