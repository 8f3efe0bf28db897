/* SPDX-License-Identifier: ISC */
/* What the first release left in a queue. */
#include "queue/upgrade.h"

#include <dirent.h>
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
#include "queue/look.h"

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
	char name[QUEUE_NAME_SIZE];
	struct stat st;

	queue_name(name, id, "");
	if (fstatat(queue_dir_fd(upgrade->dir, folder, id), name, &st,
		AT_SYMLINK_NOFOLLOW) == 0)
		return 1;
	return errno == ENOENT
	    ? 0
	    : error_sys(upgrade->err, "cannot look for '%s/%s/%s'",
		  upgrade->dir->path, queue_folder_name(folder), name);
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
drop_pairs(struct upgrade *upgrade)
{
	int fd = openat(queue_dir_fd(upgrade->dir, QUEUE_PID, 0), ".",
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = fd == -1 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	int result = 0;

	if (stream == NULL) {
		if (fd != -1)
			close(fd);
		return error_sys(
		    upgrade->err, "cannot list '%s/pid'", upgrade->dir->path);
	}
	while (result == 0) {
		uint64_t id;

		errno = 0;
		entry = readdir(stream);
		if (entry == NULL) {
			if (errno != 0)
				result = error_sys(upgrade->err,
				    "cannot list '%s/pid'", upgrade->dir->path);
			break;
		}
		if (read_spare_name(entry->d_name, &id))
			result = drop_pair(upgrade, entry->d_name, id);
	}
	closedir(stream);
	return result;
}

/* Its journal, in which nothing counts. */
static int
drop_journal(struct upgrade *upgrade)
{
	int lock = queue_dir_fd(upgrade->dir, QUEUE_LOCK, 0);
	struct stat st;

	return fstatat(lock, QUEUE_JOURNAL, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		S_ISREG(st.st_mode)
	    ? drop(upgrade, lock, QUEUE_JOURNAL, "lock/" QUEUE_JOURNAL)
	    : 0;
}

static int
drop_socket(struct upgrade *upgrade)
{
	int lock = queue_dir_fd(upgrade->dir, QUEUE_LOCK, 0);
	struct stat st;

	return fstatat(lock, "workers", &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		S_ISSOCK(st.st_mode)
	    ? drop(upgrade, lock, "workers", "lock/workers")
	    : 0;
}

/* Its messages would look like spare files. */
static int
check_journal(const struct upgrade *upgrade)
{
	int is_old = journal_old_find(queue_dir_fd(upgrade->dir, QUEUE_LOCK, 0),
	    upgrade->dir->path, upgrade->err);

	return is_old == 1 ? look_old_journal(upgrade->dir, upgrade->err)
			   : is_old;
}

int
queue_drop_spares(const struct queue_dir *dir,
    const struct upgrade_options *options, struct error *err)
{
	static const struct upgrade_options plain = { .is_test = false };
	struct upgrade upgrade = { .dir = dir,
		.options = options == NULL ? &plain : options,
		.err = err };

	if (check_journal(&upgrade) == -1 || drop_pairs(&upgrade) == -1 ||
	    drop_journal(&upgrade) == -1 || drop_socket(&upgrade) == -1)
		return -1;
	if (upgrade.count > 0 && upgrade.options->say == NULL)
		log_line("removed %u files that an older release left",
		    upgrade.count);
	return 0;
}
