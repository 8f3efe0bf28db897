/* SPDX-License-Identifier: ISC */
/*
 * Gives what is in a queue to its owner.  This is what root has to do itself,
 * while whoever owned it may still rename and link: no link is followed, and
 * what has another name elsewhere is left alone.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
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
	AUTO(file_close) int fd = -1;

	if (st->st_nlink != 2 || rest == NULL)
		return false;
	snprintf(other, sizeof(other), "%s%s",
	    queue_folder_name(
		entry->kind == QUEUE_TODO ? QUEUE_INTD : QUEUE_TODO),
	    rest);
	name = strrchr(other, '/');
	*name++ = '\0';
	fd = fix_open_folder(fix, other);
	return fd != -1 &&
	    fstatat(fd, name, &found, AT_SYMLINK_NOFOLLOW) == 0 &&
	    found.st_ino == st->st_ino && found.st_dev == st->st_dev;
}

/* Other names of a file. */
struct names {
	ino_t inode;
	nlink_t count;
};

static int
count_name(int folder, const struct dirent *entry, void *context)
{
	struct names *names = context;

	(void)folder;
	names->count += entry->d_ino == names->inode;
	return 0;
}

/* A damaged journal.N is journal.damaged.M too: are all its names in lock/? */
static bool
is_linked_in_lock(struct fix *fix, const struct stat *st)
{
	struct names names = { .inode = st->st_ino };

	return queue_list(fix_open_folder(fix, "lock"), fix->path, "lock",
		   count_name, &names, NULL) == 0 &&
	    names.count == st->st_nlink;
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
	AUTO(file_close)
	int fd = openat(
	    entry->folder, entry->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	char fault[80];
	struct stat st;

	if (fd == -1)
		return errno == ENOENT ? 0
				       : fix_failed(fix, "open", entry->path);
	if (fstat(fd, &st) == -1)
		return fix_failed(fix, "stat", entry->path);
	if (st.st_uid == options->uid &&
	    (options->gid == (gid_t)-1 || st.st_gid == options->gid))
		return 0;
	if (!is_queues(fix, entry, &st))
		fix_leave(fix, "no file of a queue", entry->path);
	else {
		bool is_group = st.st_uid == options->uid;

		snprintf(fault, sizeof(fault),
		    "it belongs to %s %lu, and should to %s %lu",
		    is_group ? "gid" : "uid",
		    (unsigned long)(is_group ? st.st_gid : st.st_uid),
		    is_group ? "gid" : "uid",
		    (unsigned long)(is_group ? options->gid : options->uid));
		fix_say(fix, "change the owner of", entry->path, fault);
		if (!options->is_test &&
		    fchownat(fd, "", options->uid, options->gid,
			AT_EMPTY_PATH) == -1)
			return fix_failed(
			    fix, "change the owner of", entry->path);
	}
	return 0;
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

/* All that is in a folder. */
struct content {
	struct fix *fix;
	const char *path;
	enum queue_folder kind;
	bool is_part;   /* a numbered one */
	unsigned files; /* so far */
};

static int own_content(struct content *content);

static int
own_entry(int folder, const struct dirent *found, void *context)
{
	struct content *content = context;
	struct fix *fix = content->fix;
	char path[FIX_PATH_SIZE];
	struct entry entry = { .folder = folder,
		.name = found->d_name,
		.path = path,
		.kind = content->kind };
	struct content part = {
		.fix = fix, .path = path, .kind = content->kind, .is_part = true
	};
	uint64_t number;
	int is_there;

	if (fix_has_enough(fix, content->path, content->files++))
		return 1;
	if (snprintf(path, sizeof(path), "%s/%s", content->path,
		found->d_name) >= (int)sizeof(path))
		return 0;
	is_there = is_folder(fix, &entry);
	if (is_there == -1 ||
	    (is_to_be_owned(entry.kind, entry.name, is_there) &&
		own(fix, &entry) == -1))
		return -1;
	return is_there && !content->is_part &&
		scan_u64(entry.name, QUEUE_SPLIT_MAX - 1, &number)
	    ? own_content(&part)
	    : 0;
}

/* And in its numbered folders. */
static int
own_content(struct content *content)
{
	struct fix *fix = content->fix;
	int fd = fix_open_folder(fix, content->path);

	/* That it is no folder is told when it is to be one. */
	if (fd == -1 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
		return 0;
	return queue_list(fd, fix->path, content->path, own_entry, content,
		   fix->err) == -1
	    ? -1
	    : 0;
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
	if (fix->options->uid == (uid_t)-1)
		return 0;
	for (enum queue_folder kind = 0; kind < QUEUE_FOLDER_COUNT; kind++) {
		struct content content = { .fix = fix,
			.path = queue_folder_name(kind),
			.kind = kind };

		if (fix_owner(fix, content.path) == -1 ||
		    own_content(&content) == -1)
			return -1;
	}
	return 0;
}
