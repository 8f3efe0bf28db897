/* SPDX-License-Identifier: ISC */
/*
 * Files of messages that are not there: todo/ID without mess/S/ID, and so on.
 *
 * A queue that runs takes todo/ID away before mess/S/ID (docs/queue.md), so a
 * file that is still there after its message was found missing is an orphan,
 * unless the number was given to a new message just then: hence a few looks,
 * some time apart.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "base/mem.h"
#include "queue/look.h"
#include "svctool/check/queue.h"

enum {
	FILES_MAX = 10000, /* of one folder that are looked at */
	ORPHANS_MAX = CHECK_CROWD_MAX,
	LOOKS = 3,
	PAUSE_MS = 60,
	FULL = 1 /* what ends a walk early */
};

struct orphan {
	enum queue_folder folder;
	uint64_t id;
};

struct search {
	const struct queue_dir *queue;
	enum queue_folder folder; /* that is walked through */
	unsigned files;
	struct orphan orphans[ORPHANS_MAX];
	unsigned count;
};

static bool
is_missing(const struct queue_dir *queue, enum queue_folder folder, uint64_t id)
{
	char name[QUEUE_NAME_SIZE];
	struct stat st;

	queue_name(name, id, "");
	return fstatat(queue_dir_fd(queue, folder, id), name, &st,
		   AT_SYMLINK_NOFOLLOW) == -1 &&
	    errno == ENOENT;
}

static int
visit(uint64_t id, void *context)
{
	struct search *search = context;

	if (is_missing(search->queue, QUEUE_MESS, id))
		search->orphans[search->count++] = (struct orphan){
			search->folder, id
		};
	return ++search->files >= FILES_MAX || search->count == ORPHANS_MAX
	    ? FULL
	    : 0;
}

/* Keeps those that are still what they seemed to be. */
static void
look_again(struct search *search)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < search->count; i++) {
		const struct orphan *orphan = &search->orphans[i];

		/* Missing both before and after the file was there. */
		if (is_missing(search->queue, QUEUE_MESS, orphan->id) &&
		    !is_missing(search->queue, orphan->folder, orphan->id) &&
		    is_missing(search->queue, QUEUE_MESS, orphan->id))
			search->orphans[kept++] = *orphan;
	}
	search->count = kept;
}

static void
walk(struct check *check, struct search *search)
{
	unsigned parts = search->folder < QUEUE_FOLDER_SPLIT_END
	    ? search->queue->split
	    : 1;
	int result = 0;

	search->files = 0;
	for (unsigned i = 0; i < parts && result == 0; i++) {
		struct error err;

		result = look_folder(
		    search->queue, search->folder, i, visit, search, &err);
		if (result == -1)
			check_reason(check, CHECK_ERROR, err.text,
			    "run this as root or as the queue's user");
	}
}

void
check_queue_orphans(struct check *check, const struct queue_dir *queue)
{
	static const enum queue_folder folders[] = { QUEUE_TODO, QUEUE_INTD,
		QUEUE_INFO, QUEUE_LOCAL, QUEUE_REMOTE, QUEUE_BOUNCE };
	const struct timespec pause = { .tv_nsec = PAUSE_MS * 1000000L };
	struct search search = { .queue = queue };

	for (size_t i = 0; search.count < ORPHANS_MAX &&
	     i < sizeof(folders) / sizeof(folders[0]);
	     i++) {
		search.folder = folders[i];
		walk(check, &search);
	}
	for (int i = 0; i < LOOKS && search.count > 0; i++) {
		nanosleep(&pause, NULL);
		look_again(&search);
	}
	for (unsigned i = 0; i < search.count; i++) {
		const struct orphan *orphan = &search.orphans[i];
		const char *folder = queue_folder_name(orphan->folder);
		char *path = orphan->folder < QUEUE_FOLDER_SPLIT_END
		    ? xasprintf("%s/%s/%" PRIu64 "/%" PRIu64, queue->path,
			  folder, orphan->id % queue->split, orphan->id)
		    : xasprintf(
			  "%s/%s/%" PRIu64, queue->path, folder, orphan->id);

		check_find(check, CHECK_ERROR, path, 0,
		    "there is no message mess/%" PRIu64 "/%" PRIu64
		    " that it belongs to",
		    orphan->id % queue->split, orphan->id);
		check_remedy(check, "svctool queue fix %s", queue->name);
		free(path);
	}
}
