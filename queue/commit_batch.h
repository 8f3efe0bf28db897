/* SPDX-License-Identifier: ISC */
/*
 * What one batch of the committer syncs, and what waits for that: private to
 * queue/commit*.c, used by its thread only.
 */
#ifndef QUEUE_COMMIT_BATCH_H
#define QUEUE_COMMIT_BATCH_H

#include "base/sync_pool.h"
#include "queue/commit.h"

/* How long a removal may wait for the sync of others. */
enum { COMMIT_LINGER_US = 20000, COMMIT_PAIRS_MAX = 128 };

/*
 * A message file that no name in todo/ or info/ belongs to any more.  Until
 * that is durable its inode number must not be anybody else's: neither by
 * serving again nor by being unlinked.
 */
struct commit_pair {
	struct spare spare;
	bool is_unlinked; /* unlinked then; else a spare */
};

struct commit_batch {
	const struct queue_dir *dir;
	struct spare_pool *pool;
	struct journal *journal; /* or NULL */
	int journal_error; /* errno of what was to be made durable in it with
			    * this batch; or 0 */
	/* what the next sync covers, and whose failure it would be */
	struct sync_job *syncs;
	struct commit_job **sync_owners; /* NULL for a folder */
	size_t sync_count, sync_size;
	/* folders changed since their last sync */
	int *folders;
	size_t folder_count;
	bool needs_folder_sync;   /* somebody waits for it */
	int64_t waiting_since_us; /* clock_us(): of the oldest change; or 0 */
	int folder_error;         /* errno of a folder's sync that failed in
				   * this batch, early or late; or 0 */
	/* their old names are gone, but that is not durable yet */
	struct commit_pair *pairs;
	size_t pair_count, pair_size;
};

void commit_batch_init(struct commit_batch *batch, const struct queue_dir *dir,
    struct spare_pool *pool, struct journal *journal);
void commit_batch_release(struct commit_batch *batch);

/* Nothing has failed yet; the journal gets room.  now_ms is clock_ms(). */
void commit_begin(struct commit_batch *batch, int64_t now_ms);

/* The job failed, with errno's reason; its first failure counts. */
void commit_fail(
    struct commit_job *job, int result, const char *what, const char *where);

/* The next sync covers this; its failure is the owner's, NULL for a folder. */
void commit_add_sync(struct commit_batch *batch, int fd, bool is_folder,
    struct commit_job *owner);
void commit_add_folder_sync(struct commit_batch *batch, int fd);
/* A late sync covers that folder. */
void commit_folder_changed(
    struct commit_batch *batch, enum queue_folder folder, uint64_t id);
/* The late sync makes that pair free; takes the descriptors. */
void commit_add_pair(
    struct commit_batch *batch, struct spare *spare, bool is_unlinked);

/* Results of the syncs to their jobs. */
void commit_check_syncs(struct commit_batch *batch);

/* From when on removals wait. */
void commit_note_waiting(struct commit_batch *batch, int64_t now_us);
/* Is it time for the late sync? */
bool commit_needs_folder_sync(struct commit_batch *batch, int64_t now_us);
void commit_want_folder_sync(struct commit_batch *batch);
/* The folders, and the journal, that the late sync covers. */
void commit_gather_folders(struct commit_batch *batch);
/* After it: pairs whose removal is durable now become spare. */
void commit_release_pairs(struct commit_batch *batch);

/*
 * At the end of a batch: what the jobs ended, and nobody waits for, is no more
 * than its sync away from being durable.
 */
void commit_write_journal(struct commit_batch *batch);
/* Are there removals that are not durable yet? */
bool commit_has_waiting(const struct commit_batch *batch);
/* clock_us() of when a batch is wanted though there are no jobs; or 0. */
int64_t commit_due_us(const struct commit_batch *batch);

#endif
