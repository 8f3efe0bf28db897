/* SPDX-License-Identifier: ISC */
/*
 * Gives what is in a queue to its owner.  This is what root has to do itself,
 * while whoever owned it may still rename and link: no link is followed, and
 * what has another name elsewhere is left alone.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/scan.h"
#include "queue/fix_private.h"

/* An entry of an open folder, and its path in the queue. */
struct entry {
	int folder;
	const char *name, *path;
	enum queue_folder kind;
};

/* qmail-queue links intd/ID to todo/ID: are these the two names? */
static bool
is_linked_envelope(
    struct fix *fix, const struct entry *entry, const struct stat *st)
{
	const char *rest = strchr(entry->path, '/');
	char other[FIX_PATH_SIZE], *name;
	struct stat found;
	int fd;
	bool is_it;

	if (st->st_nlink != 2 || rest == NULL)
		return false;
	snprintf(other, sizeof(other), "%s%s",
	    queue_folder_name(
		entry->kind == QUEUE_TODO ? QUEUE_INTD : QUEUE_TODO),
	    rest);
	name = strrchr(other, '/');
	*name++ = '\0';
	fd = fix_open_folder(fix, other);
	is_it = fd != -1 &&
	    fstatat(fd, name, &found, AT_SYMLINK_NOFOLLOW) == 0 &&
	    found.st_ino == st->st_ino && found.st_dev == st->st_dev;
	if (fd != -1)
		close(fd);
	return is_it;
}

/* A damaged journal.N is journal.damaged.M too: are all its names in lock/? */
static bool
is_linked_in_lock(struct fix *fix, const struct stat *st)
{
	int fd = fix_open_folder(fix, "lock");
	DIR *stream = fd == -1 ? NULL : fdopendir(fd);
	const struct dirent *found;
	nlink_t names = 0;

	while (stream != NULL && (found = readdir(stream)) != NULL)
		names += found->d_ino == st->st_ino;
	if (stream != NULL)
		closedir(stream);
	else if (fd != -1)
		close(fd);
	return names == st->st_nlink;
}

/* Is it a thing of a queue's, and of no place else? */
static bool
is_queues(struct fix *fix, const struct entry *entry, const struct stat *st)
{
	if (S_ISDIR(st->st_mode) || S_ISFIFO(st->st_mode))
		return true;
	if (!S_ISREG(st->st_mode))
		return false;
	if (st->st_nlink == 1)
		return true;
	return entry->kind == QUEUE_LOCK ? is_linked_in_lock(fix, st)
	    : entry->kind == QUEUE_TODO || entry->kind == QUEUE_INTD
	    ? is_linked_envelope(fix, entry, st)
	    : false;
}

/* What is looked at is what is changed, whoever renames meanwhile. */
static int
own(struct fix *fix, const struct entry *entry)
{
	const struct fix_options *options = fix->options;
	int fd = openat(
	    entry->folder, entry->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	int result = 0;

	if (fd == -1)
		return errno == ENOENT ? 0
				       : fix_failed(fix, "open", entry->path);
	if (fstat(fd, &st) == -1)
		result = fix_failed(fix, "stat", entry->path);
	else if (st.st_uid == options->uid && st.st_gid == options->gid)
		;
	else if (!is_queues(fix, entry, &st))
		fix_tell(
		    fix, "left alone, as no file of a queue:", entry->path);
	else {
		fix_say(fix, "change the owner of", entry->path);
		if (!options->is_test &&
		    fchownat(fd, "", options->uid, options->gid,
			AT_EMPTY_PATH) == -1)
			result = fix_failed(
			    fix, "change the owner of", entry->path);
	}
	close(fd);
	return result;
}

/* What people put there stays theirs; a folder of it may have to move. */
static bool
is_to_be_owned(enum queue_folder kind, const char *name, bool is_folder)
{
	uint64_t id;
	bool is_fix;

	return is_folder || kind == QUEUE_LOCK ||
	    fix_read_name(name, &id, &is_fix);
}

/* 1, 0, or -1 with the reason. */
static int
is_folder(struct fix *fix, const struct entry *entry)
{
	struct stat st;

	if (fstatat(entry->folder, entry->name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return S_ISDIR(st.st_mode);
	return errno == ENOENT ? 0 : fix_failed(fix, "stat", entry->path);
}

static int own_content(
    struct fix *fix, const char *path, enum queue_folder kind, bool is_part);

static int
own_entry(struct fix *fix, const struct entry *entry, bool is_part)
{
	int found = is_folder(fix, entry);
	uint64_t number;

	if (found == -1)
		return -1;
	if (is_to_be_owned(entry->kind, entry->name, found) &&
	    own(fix, entry) == -1)
		return -1;
	return found && !is_part &&
		scan_u64(entry->name, QUEUE_SPLIT_MAX - 1, &number)
	    ? own_content(fix, entry->path, entry->kind, true)
	    : 0;
}

/* All in a folder, and in its numbered ones. */
static int
own_content(
    struct fix *fix, const char *path, enum queue_folder kind, bool is_part)
{
	int fd = fix_open_folder(fix, path), result = 0;
	DIR *stream = fd == -1 ? NULL : fdopendir(fd);
	const struct dirent *found;

	if (stream == NULL) {
		if (fd != -1)
			close(fd);
		/* That it is no folder is told when it is to be one. */
		return errno == ENOENT || errno == ENOTDIR || errno == ELOOP
		    ? 0
		    : fix_failed(fix, "list", path);
	}
	while (result == 0) {
		char entry_path[FIX_PATH_SIZE];
		struct entry entry = {
			.folder = fd, .path = entry_path, .kind = kind
		};

		errno = 0;
		found = readdir(stream);
		if (found == NULL) {
			if (errno != 0)
				result = fix_failed(fix, "list", path);
			break;
		}
		entry.name = found->d_name;
		if (strcmp(found->d_name, ".") == 0 ||
		    strcmp(found->d_name, "..") == 0 ||
		    snprintf(entry_path, sizeof(entry_path), "%s/%s", path,
			found->d_name) >= (int)sizeof(entry_path))
			continue;
		result = own_entry(fix, &entry, is_part);
	}
	closedir(stream);
	return result;
}

int
fix_owner(struct fix *fix, const char *name)
{
	const char *slash = strrchr(name, '/');
	struct entry entry = { .name = slash == NULL ? name : slash + 1,
		.path = name,
		.kind = QUEUE_LOCK };
	char folder[FIX_PATH_SIZE];
	int result;

	if (fix->options->uid == (uid_t)-1)
		return 0;
	snprintf(
	    folder, sizeof(folder), "%.*s", (int)(entry.name - name), name);
	entry.folder = fix_open_folder(fix, folder);
	if (entry.folder == -1)
		return errno == ENOENT ? 0 : fix_failed(fix, "open", folder);
	result = own(fix, &entry);
	close(entry.folder);
	return result;
}

int
fix_owners(struct fix *fix)
{
	enum queue_folder kind;

	if (fix->options->uid == (uid_t)-1)
		return 0;
	for (kind = 0; kind < QUEUE_FOLDER_COUNT; kind++) {
		const char *name = queue_folder_name(kind);

		if (fix_owner(fix, name) == -1 ||
		    own_content(fix, name, kind, false) == -1)
			return -1;
	}
	return 0;
}
