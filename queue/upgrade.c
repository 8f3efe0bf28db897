/* SPDX-License-Identifier: ISC */
/* What the first release left in a queue. */
#include "queue/upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/scan.h"
#include "queue/journal_old.h"

enum { PATH_SIZE = 64 };

struct upgrade {
	const struct queue_dir *dir;
	const struct upgrade_options *options;
	struct error *err;
	unsigned count;
};

/* "ID.e", the envelope file of a pair? */
static bool
read_spare_name(const char *name, uint64_t *id_out)
{
	size_t length = strlen(name);

	return length > 2 && strcmp(name + length - 2, ".e") == 0 &&
	    scan_u64n(name, length - 2, UINT64_MAX, id_out) && *id_out != 0;
}

/* 1, 0, or -1 with the reason. */
static int
has(const struct upgrade *upgrade, enum queue_folder folder, uint64_t id)
{
	int result = queue_stat(upgrade->dir, folder, id, NULL);

	return result != -1
	    ? result
	    : error_sys(upgrade->err, "cannot look for '%s/%s/%llu'",
		  upgrade->dir->path, queue_folder_name(folder),
		  (unsigned long long)id);
}

/* Removes a file of a folder, whose path in the queue is for people. */
static int
drop(struct upgrade *upgrade, int folder, const char *name, const char *path)
{
	const struct upgrade_options *options = upgrade->options;

	upgrade->count++;
	if (options->say != NULL)
		options->say(path, options->context);
	if (options->is_test || unlinkat(folder, name, 0) == 0 ||
	    errno == ENOENT)
		return 0;
	return error_sys(
	    upgrade->err, "cannot remove '%s/%s'", upgrade->dir->path, path);
}

/* Whatever is interrupted leaves pid/ID.e, to be found again. */
static int
drop_pair(struct upgrade *upgrade, const char *envelope_name, uint64_t id)
{
	const struct queue_dir *dir = upgrade->dir;
	char name[QUEUE_NAME_SIZE], path[PATH_SIZE];
	int is_queued = has(upgrade, QUEUE_TODO, id);
	int has_mess = has(upgrade, QUEUE_MESS, id);

	if (is_queued == 0)
		is_queued = has(upgrade, QUEUE_INFO, id);
	if (is_queued == -1 || has_mess == -1)
		return -1;
	queue_name(name, id, "");
	snprintf(
	    path, sizeof(path), "mess/%" PRIu64 "/%s", id % dir->split, name);
	if (!is_queued && has_mess &&
	    drop(upgrade, queue_dir_fd(dir, QUEUE_MESS, id), name, path) == -1)
		return -1;
	snprintf(path, sizeof(path), "pid/%s", envelope_name);
	return drop(
	    upgrade, queue_dir_fd(dir, QUEUE_PID, 0), envelope_name, path);
}

static int
visit_pid(int folder, const struct dirent *entry, void *context)
{
	uint64_t id;

	(void)folder;
	return read_spare_name(entry->d_name, &id)
	    ? drop_pair(context, entry->d_name, id)
	    : 0;
}

/* In lock/, if it is there and of that type. */
static int
drop_from_lock(struct upgrade *upgrade, const char *path, mode_t type)
{
	int lock = queue_dir_fd(upgrade->dir, QUEUE_LOCK, 0);
	const char *name = path + strlen("lock/");
	struct stat st;

	return fstatat(lock, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		(st.st_mode & S_IFMT) == type
	    ? drop(upgrade, lock, name, path)
	    : 0;
}

int
queue_drop_spares(const struct queue_dir *dir,
    const struct upgrade_options *options, struct error *err)
{
	static const struct upgrade_options plain = { .is_test = false };
	struct upgrade upgrade = { .dir = dir,
		.options = options == NULL ? &plain : options,
		.err = err };

	/* First, as messages in it would look like spare files. */
	if (journal_old_check(
		queue_dir_fd(dir, QUEUE_LOCK, 0), dir->path, err) == -1 ||
	    queue_list_folder(dir, QUEUE_PID, 0, visit_pid, &upgrade, err) ==
		-1 ||
	    drop_from_lock(&upgrade, "lock/" QUEUE_JOURNAL, S_IFREG) == -1 ||
	    drop_from_lock(&upgrade, "lock/workers", S_IFSOCK) == -1)
		return -1;
	if (upgrade.count > 0 && upgrade.options->say == NULL)
		log_line("removed %u files that an older release left",
		    upgrade.count);
	return 0;
}
