/* SPDX-License-Identifier: ISC */
/*
 * Makes and repairs a queue directory.
 *
 * Renaming goes in two steps, because a message's new name may be another
 * one's old name: first everything that moves becomes fix.INODE in its new
 * folder, then fix.INODE becomes INODE.  The message file goes first of all in
 * the second step and last in the first, so that at any moment the other
 * files of a message are found by its inode.
 */
#include "queue/fix.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/scan.h"
#include "queue/dir.h"
#include "queue/idmap.h"

enum { TCPTO_BYTES = 1024, PATH_SIZE = 128, FOLDER_MODE = 0700 };

static const char fix_prefix[] = "fix.";

struct fix {
	const char *path;
	const struct fix_options *options;
	int root;
	int changes;
	struct error *err;
	/* by the name that files have, N or fix.N: the message's inode */
	struct idmap by_name, by_fix_name;
	/* inodes of messages, for those already called fix.INODE */
	struct idmap by_inode;
};

static void
say(struct fix *fix, const char *verb, const char *what)
{
	fix->changes++;
	printf("%s: %s%s %s\n", fix->path,
	    fix->options->is_test ? "would " : "", verb, what);
}

static int
failed(struct fix *fix, const char *verb, const char *what)
{
	return error_sys(fix->err, "cannot %s '%s/%s'", verb, fix->path, what);
}

/* -- folders and lock files */

static int
set_owner(struct fix *fix, const char *name, mode_t mode)
{
	const struct fix_options *options = fix->options;
	struct stat st;

	if (fstatat(fix->root, name, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return options->is_test ? 0 : failed(fix, "stat", name);
	if (options->uid != (uid_t)-1 &&
	    (st.st_uid != options->uid || st.st_gid != options->gid)) {
		say(fix, "change the owner of", name);
		if (!options->is_test &&
		    fchownat(fix->root, name, options->uid, options->gid,
			AT_SYMLINK_NOFOLLOW) == -1)
			return failed(fix, "change the owner of", name);
	}
	if ((st.st_mode & 07777) == mode)
		return 0;
	say(fix, "change the mode of", name);
	if (!options->is_test && fchmodat(fix->root, name, mode, 0) == -1)
		return failed(fix, "change the mode of", name);
	return 0;
}

static int
fix_folder(struct fix *fix, const char *name, mode_t mode)
{
	struct stat st;

	if (fstatat(fix->root, name, &st, AT_SYMLINK_NOFOLLOW) == -1) {
		if (errno != ENOENT)
			return failed(fix, "stat", name);
		say(fix, "make folder", name);
		if (fix->options->is_test)
			return 0;
		if (mkdirat(fix->root, name, mode) == -1)
			return failed(fix, "make folder", name);
	} else if (!S_ISDIR(st.st_mode))
		return error_set(fix->err,
		    "'%s/%s' is not a folder; move it "
		    "away",
		    fix->path, name);
	return set_owner(fix, name, mode);
}

static int
fix_lock_file(struct fix *fix, const char *name, mode_t mode, off_t size)
{
	bool is_pipe = size < 0;
	struct stat st;
	int fd;

	if (fstatat(fix->root, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		if (is_pipe ? S_ISFIFO(st.st_mode) : S_ISREG(st.st_mode))
			return set_owner(fix, name, mode);
		say(fix, "replace", name);
		if (!fix->options->is_test &&
		    unlinkat(fix->root, name, 0) == -1)
			return failed(fix, "remove", name);
	} else if (errno != ENOENT)
		return failed(fix, "stat", name);
	else
		say(fix, "make", name);
	if (fix->options->is_test)
		return 0;
	if (is_pipe) {
		if (mkfifoat(fix->root, name, mode) == -1)
			return failed(fix, "make", name);
	} else {
		fd = openat(fix->root, name,
		    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
		if (fd == -1 || ftruncate(fd, size) == -1) {
			if (fd != -1)
				close(fd);
			return failed(fix, "make", name);
		}
		close(fd);
	}
	return set_owner(fix, name, mode);
}

static int
fix_folders(struct fix *fix)
{
	enum queue_folder folder;
	char name[PATH_SIZE];
	unsigned i;

	for (folder = 0; folder < QUEUE_FOLDER_COUNT; folder++) {
		/* Clients reach the sockets in lock/. */
		if (fix_folder(fix, queue_folder_name(folder),
			folder == QUEUE_LOCK ? 0755 : FOLDER_MODE) == -1)
			return -1;
		if (folder >= QUEUE_FOLDER_SPLIT_END)
			continue;
		for (i = 0; i < fix->options->split; i++) {
			snprintf(name, sizeof(name), "%s/%u",
			    queue_folder_name(folder), i);
			if (fix_folder(fix, name, FOLDER_MODE) == -1)
				return -1;
		}
	}
	if (fix_lock_file(fix, "lock/sendmutex", 0600, 0) == -1 ||
	    fix_lock_file(fix, "lock/tcpto", 0644, TCPTO_BYTES) == -1 ||
	    /* anybody's qmail-queue may pull it, as in qmail */
	    fix_lock_file(fix, "lock/trigger", 0622, -1) == -1)
		return -1;
	return 0;
}

/* -- messages */

/*
 * Calls visit for each file of a folder and of its numbered folders; folder is
 * the path inside the queue.  0, or the first result of visit that is not.
 */
static int
walk(struct fix *fix, const char *folder,
    int (*visit)(struct fix *fix, enum queue_folder kind, const char *folder,
	const char *name),
    enum queue_folder kind)
{
	int fd = openat(
	    fix->root, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *stream = fd == -1 ? NULL : fdopendir(fd);
	struct dirent *entry;
	int result = 0;

	if (stream == NULL) {
		if (fd != -1)
			close(fd);
		if (fix->options->is_test && errno == ENOENT)
			return 0;
		return failed(fix, "list", folder);
	}
	while (result == 0 && (entry = readdir(stream)) != NULL) {
		char path[PATH_SIZE];
		struct stat st;

		if (entry->d_name[0] == '.')
			continue;
		if (snprintf(path, sizeof(path), "%s/%s", folder,
			entry->d_name) >= (int)sizeof(path) ||
		    fstatat(fix->root, path, &st, AT_SYMLINK_NOFOLLOW) == -1)
			continue; /* gone since, or no name of a queue */
		if (S_ISDIR(st.st_mode))
			result = walk(fix, path, visit, kind);
		else
			result = visit(fix, kind, folder, entry->d_name);
	}
	closedir(stream);
	return result;
}

/* Reads ID or fix.INODE; which one is told. */
static bool
read_name(const char *name, uint64_t *id_out, bool *is_fix_out)
{
	*is_fix_out = strncmp(name, fix_prefix, sizeof(fix_prefix) - 1) == 0;
	return scan_u64(name + (*is_fix_out ? sizeof(fix_prefix) - 1 : 0),
		   UINT64_MAX, id_out) &&
	    *id_out != 0;
}

static int
note_message(struct fix *fix, enum queue_folder kind, const char *folder,
    const char *name)
{
	char path[PATH_SIZE];
	struct stat st;
	uint64_t id;
	bool is_fix;

	(void)kind;
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	if (!read_name(name, &id, &is_fix)) {
		say(fix, "leave alone what is no message:", path);
		return 0;
	}
	if (fstatat(fix->root, path, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return failed(fix, "stat", path);
	if (!idmap_put(is_fix ? &fix->by_fix_name : &fix->by_name, id,
		(void *)(uintptr_t)st.st_ino))
		return error_set(fix->err,
		    "two messages are called %" PRIu64
		    " in '%s/mess'; move one away",
		    id, fix->path);
	idmap_put(&fix->by_inode, st.st_ino, NULL);
	return 0;
}

/* Where a file of the message with this inode belongs. */
static void
right_folder(const struct fix *fix, enum queue_folder kind, uint64_t inode,
    char path[PATH_SIZE])
{
	if (kind < QUEUE_FOLDER_SPLIT_END)
		snprintf(path, PATH_SIZE, "%s/%" PRIu64,
		    queue_folder_name(kind), inode % fix->options->split);
	else
		snprintf(path, PATH_SIZE, "%s", queue_folder_name(kind));
}

static int
rename_file(struct fix *fix, const char *from, const char *to)
{
	if (fix->options->is_test)
		return 0;
	if (renameat(fix->root, from, fix->root, to) == -1)
		return failed(fix, "rename", from);
	return 0;
}

/* First step: what is not where it belongs becomes fix.INODE. */
static int
move_away(struct fix *fix, enum queue_folder kind, const char *folder,
    const char *name)
{
	char from[PATH_SIZE], right[PATH_SIZE], to[PATH_SIZE];
	uint64_t id, inode;
	bool is_fix;

	if (!read_name(name, &id, &is_fix))
		return 0;
	snprintf(from, sizeof(from), "%s/%s", folder, name);
	inode = (uintptr_t)idmap_get(
	    is_fix ? &fix->by_fix_name : &fix->by_name, id);
	/* Its message has not got this name yet, or has its last already. */
	if (inode == 0 && is_fix)
		inode = id;
	if (inode == 0 || !idmap_has(&fix->by_inode, inode)) {
		say(fix, "remove, since it has no message:", from);
		if (!fix->options->is_test &&
		    unlinkat(fix->root, from, 0) == -1)
			return failed(fix, "remove", from);
		return 0;
	}
	right_folder(fix, kind, inode, right);
	if (strcmp(right, folder) == 0 && inode == id)
		return set_owner(fix, from, 0600);
	if (snprintf(to, sizeof(to), "%s/%s%" PRIu64, right, fix_prefix,
		inode) >= (int)sizeof(to))
		return error_set(fix->err, "name too long");
	say(fix, "rename by its inode number:", from);
	return rename_file(fix, from, to);
}

/* Second step: fix.INODE becomes INODE. */
static int
move_back(struct fix *fix, enum queue_folder kind, const char *folder,
    const char *name)
{
	char from[PATH_SIZE], to[PATH_SIZE];
	uint64_t inode;
	bool is_fix;

	(void)kind;
	if (!read_name(name, &inode, &is_fix) || !is_fix)
		return 0;
	snprintf(from, sizeof(from), "%s/%s", folder, name);
	snprintf(to, sizeof(to), "%s/%" PRIu64, folder, inode);
	if (rename_file(fix, from, to) == -1)
		return -1;
	return set_owner(fix, to, 0600);
}

/* Folders of a larger split, or of a split todo/ and intd/: empty by now. */
static int
remove_extra_folders(struct fix *fix, enum queue_folder folder)
{
	unsigned i = folder < QUEUE_FOLDER_SPLIT_END ? fix->options->split : 0;

	for (; i < QUEUE_SPLIT_MAX; i++) {
		char name[PATH_SIZE];

		snprintf(
		    name, sizeof(name), "%s/%u", queue_folder_name(folder), i);
		if (faccessat(fix->root, name, F_OK, 0) == -1)
			continue;
		say(fix, "remove folder", name);
		if (!fix->options->is_test &&
		    unlinkat(fix->root, name, AT_REMOVEDIR) == -1)
			return failed(fix, "remove folder", name);
	}
	return 0;
}

static int
fix_messages(struct fix *fix)
{
	/* The message file last when leaving, first when arriving. */
	static const enum queue_folder order[] = { QUEUE_TODO, QUEUE_INTD,
		QUEUE_INFO, QUEUE_LOCAL, QUEUE_REMOTE, QUEUE_BOUNCE,
		QUEUE_MESS };
	enum { COUNT = sizeof(order) / sizeof(order[0]) };
	int i;

	if (walk(fix, "mess", note_message, QUEUE_MESS) == -1)
		return -1;
	for (i = 0; i < COUNT; i++)
		if (walk(fix, queue_folder_name(order[i]), move_away,
			order[i]) == -1)
			return -1;
	for (i = COUNT - 1; i >= 0; i--)
		if (walk(fix, queue_folder_name(order[i]), move_back,
			order[i]) == -1 ||
		    remove_extra_folders(fix, order[i]) == -1)
			return -1;
	return 0;
}

static int
sync_all(struct fix *fix)
{
	/* For a repair the whole filesystem is simplest, and rare enough. */
	if (!fix->options->is_test && syncfs(fix->root) == -1)
		return failed(fix, "sync", ".");
	return 0;
}

int
queue_fix(
    const char *path, const struct fix_options *options, struct error *err)
{
	struct fix fix = { .path = path, .options = options, .err = err };
	int lock_fd = -1, result = -1;
	struct stat st;

	if (stat(path, &st) == -1 && errno == ENOENT) {
		fix.changes++;
		printf("%s: %smake the queue\n", path,
		    options->is_test ? "would " : "");
		if (options->is_test)
			return 1;
		if (file_make_dirs(path, 0755, err) == -1)
			return -1;
	}
	fix.root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fix.root == -1)
		return error_sys(err, "cannot open '%s'", path);
	if (fix_folder(&fix, ".", 0755) == -1 ||
	    (!options->is_test && fix_folder(&fix, "lock", 0755) == -1))
		goto out;
	if (!options->is_test) {
		/* queue_is_owned() holds it for a moment, too. */
		lock_fd = queue_take(path, 200, err);
		if (lock_fd == -1)
			goto out;
	}
	if (fix_folders(&fix) == -1 || fix_messages(&fix) == -1 ||
	    sync_all(&fix) == -1)
		goto out;
	result = fix.changes;
out:
	if (lock_fd != -1)
		close(lock_fd);
	close(fix.root);
	idmap_release(&fix.by_name);
	idmap_release(&fix.by_fix_name);
	idmap_release(&fix.by_inode);
	return result;
}
