/* SPDX-License-Identifier: ISC */
/*
 * Syncs several descriptors at once, from threads of its own.
 *
 * Syncs that run at the same time share the filesystem's journal commits;
 * one after the other each may pay for its own (docs/architecture.md has the
 * figures).  A pool is used by one thread at a time.
 */
#ifndef BASE_SYNC_POOL_H
#define BASE_SYNC_POOL_H

#include <stdbool.h>
#include <stddef.h>

struct sync_pool;

/* One descriptor to sync, and what became of it. */
struct sync_job {
	int fd;
	bool is_folder; /* fsync; files are synced with fdatasync */
	int error;      /* result: 0, or the errno of the failed sync */
};

/*
 * Starts a pool of so many threads, or of as many as there can be.  Without any
 * every sync runs in the calling thread.
 */
struct sync_pool *sync_pool_new(unsigned threads);
void sync_pool_free(struct sync_pool **pool);

/* Syncs all jobs and returns when the last is done. */
void sync_pool_run(struct sync_pool *pool, struct sync_job *jobs, size_t count);

#endif
