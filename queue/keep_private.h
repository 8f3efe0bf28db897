/* SPDX-License-Identifier: ISC */
/* The parts of the keeper: private to queue/keep*.c, used by its thread only.
 */
#ifndef QUEUE_KEEP_PRIVATE_H
#define QUEUE_KEEP_PRIVATE_H

#include "base/sync_pool.h"
#include "queue/keep.h"

/* -- keep_sync.c: what a step of a batch syncs, and which jobs wait for that */

enum {
	KEEP_BATCH_MAX = 64, /* of at most KEEP_TEXT_COUNT open files each */
	/* a job waits in one round for these files and their folders */
	KEEP_WAITS_MAX = KEEP_BATCH_MAX * 2 * KEEP_TEXT_COUNT
};

struct keep_wait {
	struct keep_job *job;
	size_t sync; /* index */
	const char *where;
};

struct keep_folder {
	int fd;        /* to sync */
	bool is_dirty; /* names in it may not be durable */
	size_t sync;   /* 1 + its index in syncs in this round, or 0 */
};

struct keep_syncs {
	const struct queue_dir *dir;
	struct sync_pool *pool;
	struct keep_folder *folders[QUEUE_FOLDER_COUNT]; /* one or split */
	/* of this round */
	struct sync_job jobs[KEEP_WAITS_MAX];
	struct keep_wait waits[KEEP_WAITS_MAX];
	size_t count, wait_count;
};

void keep_syncs_init(
    struct keep_syncs *syncs, const struct queue_dir *dir, unsigned threads);
void keep_syncs_release(struct keep_syncs *syncs);

/* The job failed, with errno's reason; its first failure counts. */
void keep_fail(struct keep_job *job, const char *what, const char *where);

/* The job waits for what was written to fd. */
void keep_wait_file(
    struct keep_syncs *syncs, struct keep_job *job, int fd, const char *where);

/* Names in the message's folder have changed. */
void keep_changed(
    struct keep_syncs *syncs, enum queue_folder folder, uint64_t id);

/* Are all changes in the message's folder durable? */
bool keep_is_durable(
    struct keep_syncs *syncs, enum queue_folder folder, uint64_t id);

/* The job waits for what has changed in its folder, by whomever. */
void keep_wait_folder(
    struct keep_syncs *syncs, struct keep_job *job, enum queue_folder folder);

/* Ends the round: syncs, and fails the jobs that waited for what failed. */
void keep_sync(struct keep_syncs *syncs);

/* -- keep_step.c: what is done on disk */

/*
 * Does all jobs of the list, of which no two are of one message, and sets their
 * results.
 */
void keep_run(struct keep_syncs *syncs, struct keep_jobs *jobs);

#endif
