/* SPDX-License-Identifier: ISC */
/*
 * Threads for what may block (disk, lookups), so that the event loop of their
 * one owner does not.
 */
#ifndef BASE_WORK_POOL_H
#define BASE_WORK_POOL_H

#include <stddef.h>

struct work_pool;

/*
 * One piece of work, part of a struct of the owner's.  Between work_pool_post()
 * and done it belongs to the pool.  run is called in a thread, then done in the
 * owner's, from work_pool_reap(); done may free it.
 */
struct work {
	void (*run)(struct work *work);
	void (*done)(struct work *work);
	struct work *next; /* the pool's own, but for work_pool_post_all() */
};

/* wake_fd, an eventfd of the owner's, becomes readable when work is done. */
struct work_pool *work_pool_new(unsigned threads, int wake_fd);
/* Runs all that was posted, by done too, and calls done, before it ends. */
void work_pool_free(struct work_pool **pool);

/* First come, first served. */
void work_pool_post(struct work_pool *pool, struct work *work);
/*
 * A list of them, by next, or NULL.  Not one thread for each is woken, but two:
 * while both come to wait in what they run, the rest waits for the next post or
 * work_pool_kick(), which the owner calls now and then.
 */
void work_pool_post_all(struct work_pool *pool, struct work *works);
void work_pool_kick(struct work_pool *pool);
/* Calls done for what was run. */
void work_pool_reap(struct work_pool *pool);
/* Posted, and not done yet. */
size_t work_pool_count(const struct work_pool *pool);

#endif
