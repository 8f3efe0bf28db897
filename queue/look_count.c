/* SPDX-License-Identifier: ISC */
/* How many messages a queue holds. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "queue/idmap.h"
#include "queue/journal_view.h"
#include "queue/look.h"

/* A queue's messages as they are found. */
struct counting {
	const struct queue_dir *dir;
	struct idmap fresh;  /* that the journal has, and no file was found */
	struct idmap queued; /* that have todo/ID */
	struct idmap remembered; /* that have info/ID, or have lost it */
};

static int
count_queued(uint64_t id, void *context)
{
	struct counting *counting = context;

	idmap_remove(&counting->fresh, id);
	idmap_put(&counting->queued, id, NULL);
	return 0;
}

/* One that is in todo/ too is in S4 still, or was when we looked. */
static int
count_remembered(uint64_t id, void *context)
{
	struct counting *counting = context;

	idmap_remove(&counting->fresh, id);
	if (!idmap_has(&counting->queued, id))
		idmap_put(&counting->remembered, id, NULL);
	return 0;
}

static bool
has_file(const struct queue_dir *dir, enum queue_folder folder, uint64_t id)
{
	char name[QUEUE_NAME_SIZE];

	queue_name(name, id, "");
	return faccessat(queue_dir_fd(dir, folder, id), name, F_OK,
		   AT_SYMLINK_NOFOLLOW) == 0 ||
	    errno != ENOENT;
}

bool
look_is_headless(const struct queue_dir *dir, uint64_t id)
{
	return !has_file(dir, QUEUE_PID, id) &&
	    !has_file(dir, QUEUE_TODO, id) && !has_file(dir, QUEUE_INFO, id) &&
	    has_file(dir, QUEUE_MESS, id) &&
	    (has_file(dir, QUEUE_LOCAL, id) || has_file(dir, QUEUE_REMOTE, id));
}

/* local/ID or remote/ID. */
static int
count_headless(uint64_t id, void *context)
{
	struct counting *counting = context;

	if (!idmap_has(&counting->remembered, id) &&
	    !idmap_has(&counting->queued, id) &&
	    !idmap_has(&counting->fresh, id) &&
	    look_is_headless(counting->dir, id))
		idmap_put(&counting->remembered, id, NULL);
	return 0;
}

/* A body of its own that is missing was not acknowledged, or is over. */
static bool
counts(const struct queue_dir *dir, const struct journal_message *message)
{
	return message->body != NULL || has_file(dir, QUEUE_MESS, message->id);
}

static int
count_journal(const struct queue_dir *dir, struct counting *counting,
    struct look_count *count, struct error *err)
{
	struct journal_view view;
	size_t i;
	int result = 0;

	if (journal_view_open(dir, &view, err) == -1)
		return -1;
	for (i = 0; i < view.count; i++)
		if (counts(dir, &view.messages[i]))
			idmap_put(&counting->fresh, view.messages[i].id, NULL);
	count->has_damaged_journal = look_is_damaged(dir, &view);
	if (view.is_old)
		result = look_old_journal(dir, err);
	journal_view_release(&view);
	return result;
}

bool
look_is_damaged(const struct queue_dir *dir, const struct journal_view *view)
{
	return view->is_damaged && queue_is_owned(dir->path, NULL) != 1;
}

/* What lock/ keeps for people. */
static int
count_aside(
    const struct queue_dir *dir, struct look_count *count, struct error *err)
{
	int fd = openat(queue_dir_fd(dir, QUEUE_LOCK, 0), ".",
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = fd == -1 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (stream == NULL) {
		if (fd != -1)
			close(fd);
		return error_sys(err, "cannot list '%s/lock'", dir->path);
	}
	while ((entry = readdir(stream)) != NULL)
		count->aside += queue_is_kept(entry->d_name);
	closedir(stream);
	return 0;
}

static int
count_part(struct counting *counting, unsigned part, struct error *err)
{
	const struct queue_dir *dir = counting->dir;

	return look_folder(dir, QUEUE_INFO, part, count_remembered, counting,
		   err) == 0 &&
		look_folder(dir, QUEUE_LOCAL, part, count_headless, counting,
		    err) == 0 &&
		look_folder(
		    dir, QUEUE_REMOTE, part, count_headless, counting, err) == 0
	    ? 0
	    : -1;
}

int
look_count(const struct queue_dir *dir, struct look_count *count_out,
    struct error *err)
{
	struct counting counting = { .dir = dir };
	unsigned part;
	int result;

	*count_out = (struct look_count){ .messages = 0 };
	/* A message leaves the journal for a file, and todo/ for info/. */
	result = count_journal(dir, &counting, count_out, err);
	if (result == 0)
		result = look_folder(
		    dir, QUEUE_TODO, 0, count_queued, &counting, err);
	for (part = 0; result == 0 && part < dir->split; part++)
		result = count_part(&counting, part, err);
	if (result == 0)
		result = count_aside(dir, count_out, err);
	count_out->fresh = counting.fresh.count;
	count_out->not_preprocessed = counting.fresh.count +
	    counting.queued.count;
	count_out->messages = count_out->not_preprocessed +
	    counting.remembered.count;
	idmap_release(&counting.remembered);
	idmap_release(&counting.queued);
	idmap_release(&counting.fresh);
	return result;
}

int
look_old_journal(const struct queue_dir *dir, struct error *err)
{
	return error_set(err,
	    "'%s/lock/" QUEUE_JOURNAL "' is of an older release and holds "
	    "mail: start that release once more, and stop it",
	    dir->path);
}
