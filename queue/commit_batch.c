/* SPDX-License-Identifier: ISC */
/* What a batch of the committer syncs, and what waits for that. */
#include "queue/commit_batch.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/mem.h"
#include "queue/exitcode.h"

void
commit_batch_init(struct commit_batch *batch, const struct queue_dir *dir,
    struct spare_pool *pool, struct journal *journal)
{
	*batch = (struct commit_batch){
		.dir = dir, .pool = pool, .journal = journal
	};
	/* Every folder that a job can change, once: it never grows. */
	batch->folders = xcalloc(
	    dir->split * QUEUE_FOLDER_SPLIT_END + QUEUE_FOLDER_COUNT,
	    sizeof(int));
}

void
commit_batch_release(struct commit_batch *batch)
{
	while (batch->pair_count > 0)
		spare_close(&batch->pairs[--batch->pair_count].spare);
	free(batch->pairs);
	free(batch->syncs);
	free(batch->sync_owners);
	free(batch->folders);
}

/* The first failure counts. */
void
commit_fail(
    struct commit_job *job, int result, const char *what, const char *where)
{
	if (job->result != QQ_OK)
		return;
	job->result = errno == ENOSPC || errno == EDQUOT ? QQ_WRITE_ERROR
							 : result;
	error_sys(
	    &job->err, "cannot %s '%s/%" PRIu64 "'", what, where, job->id);
}

void
commit_add_sync(struct commit_batch *batch, int fd, bool is_folder,
    struct commit_job *owner)
{
	if (batch->sync_count == batch->sync_size) {
		batch->sync_size = batch->sync_size * 2 + 64;
		batch->syncs = xrealloc(
		    batch->syncs, batch->sync_size * sizeof(*batch->syncs));
		batch->sync_owners = xrealloc(batch->sync_owners,
		    batch->sync_size * sizeof(*batch->sync_owners));
	}
	batch->syncs[batch->sync_count] = (struct sync_job){ .fd = fd,
		.is_folder = is_folder };
	batch->sync_owners[batch->sync_count++] = owner;
}

/*
 * A folder once in a round, whatever number of jobs it is for: the kernel tells
 * a failure once for each open file, so of two syncs only the first would fail.
 */
void
commit_add_folder_sync(struct commit_batch *batch, int fd)
{
	size_t i;

	for (i = 0; i < batch->sync_count; i++)
		if (batch->syncs[i].fd == fd)
			return;
	commit_add_sync(batch, fd, true, NULL);
}

void
commit_folder_changed(
    struct commit_batch *batch, enum queue_folder folder, uint64_t id)
{
	int fd = queue_dir_fd(batch->dir, folder, id);
	size_t i;

	for (i = 0; i < batch->folder_count; i++)
		if (batch->folders[i] == fd)
			return;
	batch->folders[batch->folder_count++] = fd;
}

void
commit_begin(struct commit_batch *batch, int64_t now_ms)
{
	batch->folder_error = batch->journal_error = 0;
	if (batch->journal != NULL)
		journal_tend(batch->journal, now_ms);
}

static bool
is_journal(const struct commit_batch *batch, int fd)
{
	return batch->journal != NULL && fd == journal_fd(batch->journal);
}

void
commit_check_syncs(struct commit_batch *batch)
{
	size_t i;

	for (i = 0; i < batch->sync_count; i++) {
		const struct sync_job *sync = &batch->syncs[i];

		if (is_journal(batch, sync->fd)) {
			journal_synced(batch->journal, sync->error);
			batch->journal_error = sync->error;
			continue;
		}
		if (sync->error == 0)
			continue;
		errno = sync->error;
		if (batch->sync_owners[i] != NULL)
			commit_fail(batch->sync_owners[i], QQ_SYNC, "sync",
			    "the files of");
		else
			batch->folder_error = sync->error;
	}
	batch->sync_count = 0;
	/*
	 * The next sync of that folder would say nothing of what was lost: no
	 * pair may be used that waits for it.
	 */
	if (batch->folder_error != 0)
		batch->needs_folder_sync = true;
}

void
commit_add_pair(
    struct commit_batch *batch, struct spare *spare, bool is_unlinked)
{
	if (batch->pair_count == batch->pair_size) {
		batch->pair_size = batch->pair_size * 2 + 64;
		batch->pairs = xrealloc(
		    batch->pairs, batch->pair_size * sizeof(*batch->pairs));
	}
	batch->pairs[batch->pair_count++] = (struct commit_pair){
		.spare = *spare, .is_unlinked = is_unlinked
	};
	*spare = (struct spare)SPARE_NONE;
}

void
commit_note_waiting(struct commit_batch *batch, int64_t now_us)
{
	if (!commit_has_waiting(batch))
		batch->waiting_since_us = 0;
	else if (batch->waiting_since_us == 0)
		batch->waiting_since_us = now_us;
}

bool
commit_needs_folder_sync(struct commit_batch *batch, int64_t now_us)
{
	commit_note_waiting(batch, now_us);
	return batch->needs_folder_sync ||
	    batch->pair_count >= COMMIT_PAIRS_MAX ||
	    (batch->waiting_since_us != 0 &&
		now_us >= batch->waiting_since_us + COMMIT_LINGER_US);
}

void
commit_want_folder_sync(struct commit_batch *batch)
{
	batch->needs_folder_sync = true;
}

void
commit_gather_folders(struct commit_batch *batch)
{
	size_t i;

	for (i = 0; i < batch->folder_count; i++)
		commit_add_folder_sync(batch, batch->folders[i]);
	batch->folder_count = 0;
	if (batch->journal == NULL)
		return;
	if (journal_write(batch->journal) == -1)
		batch->journal_error = errno;
	else if (journal_begin_sync(batch->journal))
		commit_add_sync(batch, journal_fd(batch->journal), false, NULL);
}

void
commit_write_journal(struct commit_batch *batch)
{
	/* A failure is found again before anything depends on it. */
	if (batch->journal != NULL)
		journal_write(batch->journal);
}

bool
commit_has_waiting(const struct commit_batch *batch)
{
	return batch->folder_count > 0 || batch->pair_count > 0 ||
	    (batch->journal != NULL && journal_has_unsynced(batch->journal));
}

int64_t
commit_due_us(const struct commit_batch *batch)
{
	int64_t linger_us = batch->waiting_since_us + COMMIT_LINGER_US;
	int64_t tend_us = batch->journal == NULL
	    ? 0
	    : journal_next_ms(batch->journal) * 1000;

	if (!commit_has_waiting(batch))
		return tend_us;
	return tend_us == 0 || linger_us < tend_us ? linger_us : tend_us;
}

void
commit_release_pairs(struct commit_batch *batch)
{
	bool is_durable = batch->folder_error == 0 && batch->journal_error == 0;
	size_t i;

	/*
	 * After a failed sync nothing is known to be durable: the files stay
	 * until the next start, which syncs before it adopts them.
	 */
	for (i = 0; i < batch->pair_count; i++) {
		struct commit_pair *pair = &batch->pairs[i];

		if (!is_durable)
			spare_close(&pair->spare);
		else if (pair->is_unlinked)
			spare_discard(batch->pool, &pair->spare);
		else
			spare_give(batch->pool, &pair->spare);
	}
	batch->pair_count = 0;
	batch->waiting_since_us = 0;
	batch->needs_folder_sync = false;
}
