/* SPDX-License-Identifier: ISC */
/*
 * Threads for what may block (disk, lookups), so that the event loop of their
 * one owner does not.
 */
#ifndef BASE_WORK_POOL_H
#define BASE_WORK_POOL_H

#include <stddef.h>
#include <sys/queue.h>

struct work_pool;

/* One piece of work, part of a struct of the owner's; what is in it the pool's.
 */
struct work {
	void (*run)(struct work *work);
	void (*done)(struct work *work);
	STAILQ_ENTRY(work) next;
};

/* wake_fd, an eventfd of the owner's, becomes readable when work is done. */
struct work_pool *work_pool_new(unsigned threads, int wake_fd);
/* Runs all that was posted, by done too, and calls done, before it ends. */
void work_pool_free(struct work_pool **pool);

/*
 * First come, first served: run is called in a thread, then done in the
 * owner's, from work_pool_reap(); done may free it.
 */
void work_pool_post(struct work_pool *pool, struct work *work,
    void (*run)(struct work *work), void (*done)(struct work *work));
/* Calls done for what was run. */
void work_pool_reap(struct work_pool *pool);
/* Posted, and not done yet. */
size_t work_pool_count(const struct work_pool *pool);

#endif
