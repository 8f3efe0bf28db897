/* SPDX-License-Identifier: ISC */
/* The syncs of one round, in parallel, and who waits for them. */
#include "queue/keep_private.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/mem.h"
#include "queue/exitcode.h"

void
keep_syncs_init(
    struct keep_syncs *syncs, const struct queue_dir *dir, unsigned threads)
{
	*syncs = (struct keep_syncs){ .dir = dir };
	syncs->pool = sync_pool_new(threads);
	for (enum queue_folder folder = 0; folder < QUEUE_FOLDER_COUNT;
	     folder++) {
		unsigned count = queue_parts(dir, folder);

		syncs->folders[folder] = xcalloc(
		    count, sizeof(*syncs->folders[folder]));
		for (unsigned i = 0; i < count; i++) {
			struct keep_folder *at = &syncs->folders[folder][i];

			at->fd = dir->folders[folder][i];
			/* By an earlier process, perhaps. */
			at->is_dirty = true;
		}
	}
}

void
keep_syncs_release(struct keep_syncs *syncs)
{
	for (enum queue_folder folder = 0; folder < QUEUE_FOLDER_COUNT;
	     folder++)
		free(syncs->folders[folder]);
	sync_pool_free(&syncs->pool);
}

void
keep_fail(struct keep_job *job, const char *what, const char *where)
{
	if (job->result != QQ_OK)
		return;
	job->result = QQ_WRITE_ERROR;
	error_sys(
	    &job->err, "cannot %s '%s/%" PRIu64 "'", what, where, job->id);
}

static size_t
add_sync(struct keep_syncs *syncs, int fd, bool is_folder)
{
	assert(syncs->count < KEEP_WAITS_MAX);
	syncs->jobs[syncs->count] = (struct sync_job){ .fd = fd,
		.is_folder = is_folder };
	return syncs->count++;
}

static void
add_wait(struct keep_syncs *syncs, struct keep_job *job, size_t sync,
    const char *where)
{
	assert(syncs->wait_count < KEEP_WAITS_MAX);
	syncs->waits[syncs->wait_count++] = (struct keep_wait){
		.job = job, .sync = sync, .where = where
	};
}

void
keep_wait_file(
    struct keep_syncs *syncs, struct keep_job *job, int fd, const char *where)
{
	sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE); /* only a hint */
	add_wait(syncs, job, add_sync(syncs, fd, false), where);
}

static struct keep_folder *
find_folder(struct keep_syncs *syncs, enum queue_folder folder, uint64_t id)
{
	return &syncs->folders[folder][id % queue_parts(syncs->dir, folder)];
}

void
keep_changed(struct keep_syncs *syncs, enum queue_folder folder, uint64_t id)
{
	find_folder(syncs, folder, id)->is_dirty = true;
}

bool
keep_is_durable(struct keep_syncs *syncs, enum queue_folder folder, uint64_t id)
{
	return !find_folder(syncs, folder, id)->is_dirty;
}

/*
 * A folder once in a round, whatever number of jobs it is for: of two syncs
 * only the first would tell of a failure.
 */
void
keep_wait_folder(
    struct keep_syncs *syncs, struct keep_job *job, enum queue_folder folder)
{
	struct keep_folder *found = find_folder(syncs, folder, job->id);

	if (!found->is_dirty)
		return;
	if (found->sync == 0)
		found->sync = 1 + add_sync(syncs, found->fd, true);
	add_wait(syncs, job, found->sync - 1, queue_folder_name(folder));
}

/* After a failure a folder stays dirty. */
static void
end_folders(struct keep_syncs *syncs)
{
	for (enum queue_folder folder = 0; folder < QUEUE_FOLDER_COUNT;
	     folder++)
		for (unsigned i = 0; i < queue_parts(syncs->dir, folder); i++) {
			struct keep_folder *at = &syncs->folders[folder][i];

			if (at->sync != 0)
				at->is_dirty =
				    syncs->jobs[at->sync - 1].error != 0;
			at->sync = 0;
		}
}

void
keep_sync(struct keep_syncs *syncs)
{
	if (syncs->count == 0)
		return;
	sync_pool_run(syncs->pool, syncs->jobs, syncs->count);
	for (size_t i = 0; i < syncs->wait_count; i++) {
		const struct keep_wait *wait = &syncs->waits[i];

		errno = syncs->jobs[wait->sync].error;
		if (errno != 0)
			keep_fail(wait->job, "sync", wait->where);
	}
	end_folders(syncs);
	syncs->count = syncs->wait_count = 0;
}
