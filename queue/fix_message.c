/* SPDX-License-Identifier: ISC */
/*
 * Gives messages the folders that belong to them and, when that is asked for,
 * their inodes as names.
 *
 * Renaming by inodes goes in two steps, because a message's new name may be
 * another one's old name: first everything that moves becomes fix.INODE in its
 * new folder, then fix.INODE becomes INODE.  The message file goes first of all
 * in the second step and last in the first, so that at any moment the other
 * files of a message are found by its inode.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/scan.h"
#include "queue/fix_private.h"

static const char fix_prefix[] = "fix.";

typedef int visit_file(struct fix *fix, enum queue_folder kind,
    const char *folder, const char *name);

/* Of a folder, whose path inside the queue it has. */
struct walk {
	struct fix *fix;
	enum queue_folder kind;
	const char *folder;
	visit_file *visit;
	unsigned files; /* so far */
};

static int walk(struct fix *fix, const char *folder, visit_file *visit,
    enum queue_folder kind);

static int
walk_entry(int fd, const struct dirent *entry, void *context)
{
	struct walk *at = context;
	char path[FIX_PATH_SIZE];
	struct stat st;

	if (fix_has_enough(at->fix, at->folder, at->files++))
		return 1;
	if (entry->d_name[0] == '.' ||
	    snprintf(path, sizeof(path), "%s/%s", at->folder, entry->d_name) >=
		(int)sizeof(path))
		return 0; /* no name of a queue */
	if (fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == -1)
		/* Moved, by an earlier one of these calls? */
		return errno == ENOENT ? 0 : fix_failed(at->fix, "stat", path);
	return S_ISDIR(st.st_mode)
	    ? walk(at->fix, path, at->visit, at->kind)
	    : at->visit(at->fix, at->kind, at->folder, entry->d_name);
}

/*
 * Calls visit for each file of a folder and of its folders.  0, or the first
 * result of visit that is not; -1 when one cannot be listed, since what is not
 * seen would have its other files removed.
 */
static int
walk(struct fix *fix, const char *folder, visit_file *visit,
    enum queue_folder kind)
{
	struct walk at = {
		.fix = fix, .kind = kind, .folder = folder, .visit = visit
	};
	int fd = fix_open_folder(fix, folder);

	/* That it is no folder is told when it is to be one. */
	if (fd == -1 && fix->options->is_test &&
	    (errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
		return 0;
	return queue_list(fd, fix->path, folder, walk_entry, &at, fix->err) ==
		-1
	    ? -1
	    : 0;
}

bool
fix_read_name(const char *name, uint64_t *id_out, bool *is_fix_out)
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
	char path[FIX_PATH_SIZE];
	struct stat st;
	uint64_t id;
	bool is_fix;

	(void)kind;
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	if (!fix_read_name(name, &id, &is_fix)) {
		fix_leave(fix, "no message", path);
		return 0;
	}
	if (fstatat(fix->root, path, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return errno == ENOENT && fix->options->see != NULL
		    ? 0
		    : fix_failed(fix, "stat", path);
	/* One that came again under its number meanwhile is no second one. */
	if (!idmap_put(is_fix ? &fix->by_fix_name : &fix->by_name, id,
		(void *)(uintptr_t)st.st_ino) &&
	    fix->options->see == NULL)
		return error_set(fix->err,
		    "two messages are called %" PRIu64
		    " in '%s/mess'; move one away",
		    id, fix->path);
	idmap_put(&fix->by_inode, st.st_ino, NULL);
	/* Of an older release's repair. */
	fix->is_by_inode |= is_fix;
	return 0;
}

/* Where a file of the message of this number belongs. */
static void
right_folder(const struct fix *fix, enum queue_folder kind, uint64_t id,
    char path[FIX_PATH_SIZE])
{
	if (kind < QUEUE_FOLDER_SPLIT_END)
		snprintf(path, FIX_PATH_SIZE, "%s/%" PRIu64,
		    queue_folder_name(kind), id % fix->options->split);
	else
		snprintf(path, FIX_PATH_SIZE, "%s", queue_folder_name(kind));
}

/* Also one that was not walked over, or came meanwhile. */
static bool
has_message(struct fix *fix, uint64_t id)
{
	char folder[FIX_PATH_SIZE], path[FIX_PATH_SIZE + QUEUE_NAME_SIZE];

	right_folder(fix, QUEUE_MESS, id, folder);
	snprintf(path, sizeof(path), "%s/%" PRIu64, folder, id);
	return faccessat(fix->root, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* The number that a file is to have; 0 when it has no message. */
static uint64_t
right_number(struct fix *fix, uint64_t id, bool is_fix)
{
	uint64_t inode;

	if (!fix->is_by_inode)
		return idmap_has(&fix->by_name, id) ||
			(fix->options->see != NULL && has_message(fix, id))
		    ? id
		    : 0;
	inode = (uintptr_t)idmap_get(
	    is_fix ? &fix->by_fix_name : &fix->by_name, id);
	/* Its message has not got this name yet, or has its last already. */
	if (inode == 0 && is_fix)
		inode = id;
	return idmap_has(&fix->by_inode, inode) ? inode : 0;
}

/* First step, by inodes: what is not where it belongs becomes fix.INODE. */
static int
move_away(struct fix *fix, enum queue_folder kind, const char *folder,
    const char *name)
{
	char from[FIX_PATH_SIZE], right[FIX_PATH_SIZE], to[FIX_PATH_SIZE];
	char fault[2 * FIX_PATH_SIZE];
	uint64_t id, number;
	bool is_fix;

	if (!fix_read_name(name, &id, &is_fix))
		return 0;
	snprintf(from, sizeof(from), "%s/%s", folder, name);
	number = right_number(fix, id, is_fix);
	if (number == 0) {
		right_folder(fix, QUEUE_MESS, id, right);
		snprintf(fault, sizeof(fault),
		    "there is no message %s/%" PRIu64 " that it belongs to",
		    right, id);
		fix_say_orphan(fix, from, fault);
		return fix_unlink(fix, from, 0);
	}
	right_folder(fix, kind, number, right);
	if (strcmp(right, folder) == 0 && number == id)
		return fix_mode(fix, LAYOUT_queue_message, from);
	if (snprintf(to, sizeof(to), "%s/%s%" PRIu64, right,
		fix->is_by_inode ? fix_prefix : "", number) >= (int)sizeof(to))
		return error_set(fix->err, "name too long");
	snprintf(fault, sizeof(fault),
	    "it belongs into %s (was the queue copied from one of another "
	    "split?)",
	    right);
	fix_say(fix,
	    fix->is_by_inode ? "rename by its inode number:"
			     : "move to the folder of its number:",
	    from, fault);
	if (fix_rename(fix, from, to) == -1)
		return -1;
	return fix->is_by_inode || fix->options->is_test
	    ? 0
	    : fix_mode(fix, LAYOUT_queue_message, to);
}

/* Second step: fix.INODE becomes INODE. */
static int
move_back(struct fix *fix, enum queue_folder kind, const char *folder,
    const char *name)
{
	char from[FIX_PATH_SIZE], to[FIX_PATH_SIZE];
	uint64_t inode;
	bool is_fix;

	(void)kind;
	if (!fix_read_name(name, &inode, &is_fix) || !is_fix)
		return 0;
	snprintf(from, sizeof(from), "%s/%s", folder, name);
	snprintf(to, sizeof(to), "%s/%" PRIu64, folder, inode);
	if (fix_rename(fix, from, to) == -1)
		return -1;
	return fix_mode(fix, LAYOUT_queue_message, to);
}

/*
 * Out of a folder that goes, up into the one that has it: what is no message,
 * and was left alone so far.  40/x becomes 40.x.
 */
static int
move_up(struct fix *fix, const char *folder, const char *name)
{
	char from[FIX_PATH_SIZE + NAME_MAX], to[FIX_PATH_SIZE + NAME_MAX];
	int length = snprintf(from, sizeof(from), "%s/%s", folder, name);

	if (length >= (int)sizeof(from))
		return error_set(fix->err, "name too long");
	snprintf(to, sizeof(to), "%s", from);
	to[strlen(folder)] = '.';
	fix_say(fix, "move out of a folder that goes:", from,
	    "its folder is of another split");
	return fix_rename(fix, from, to);
}

/* With -N the messages are still there. */
static int
empty_entry(int fd, const struct dirent *entry, void *context)
{
	const struct walk *at = context;
	uint64_t id;
	bool is_fix;

	(void)fd;
	return at->fix->options->is_test &&
		fix_read_name(entry->d_name, &id, &is_fix)
	    ? 0
	    : move_up(at->fix, at->folder, entry->d_name);
}

/* Folders of a larger split, or of a split todo/ and intd/. */
static int
remove_extra_folders(struct fix *fix, enum queue_folder folder)
{
	unsigned i = folder < QUEUE_FOLDER_SPLIT_END ? fix->options->split : 0;
	int fd = fix_open_folder(fix, queue_folder_name(folder));

	/* What a repair would have replaced before. */
	if (fd == -1)
		return fix->options->is_test
		    ? 0
		    : fix_failed(fix, "list", queue_folder_name(folder));
	close(fd);
	for (; i < QUEUE_SPLIT_MAX; i++) {
		char name[FIX_PATH_SIZE];
		struct walk at = { .fix = fix, .folder = name };
		struct stat st;

		snprintf(
		    name, sizeof(name), "%s/%u", queue_folder_name(folder), i);
		if (fstatat(fix->root, name, &st, AT_SYMLINK_NOFOLLOW) == -1) {
			if (errno != ENOENT)
				return fix_failed(fix, "stat", name);
			continue;
		}
		if (!S_ISDIR(st.st_mode))
			continue;
		if (fix_list(fix, name, empty_entry, &at) == -1)
			return -1;
		fix_say(fix, "remove folder", name,
		    folder < QUEUE_FOLDER_SPLIT_END
			? "the folder is of another split"
			: "the folder is split, as another system's, and the "
			  "mail in it waits");
		if (fix_unlink(fix, name, AT_REMOVEDIR) == -1)
			return -1;
	}
	return 0;
}

int
fix_messages(struct fix *fix)
{
	/* The message file last when leaving, first when arriving. */
	static const enum queue_folder order[] = { QUEUE_TODO, QUEUE_INTD,
		QUEUE_INFO, QUEUE_LOCAL, QUEUE_REMOTE, QUEUE_BOUNCE,
		QUEUE_MESS };
	enum { COUNT = sizeof(order) / sizeof(order[0]) };

	if (walk(fix, "mess", note_message, QUEUE_MESS) == -1)
		return -1;
	if (fix->is_by_inode && !fix->options->is_by_inode)
		fix_tell(fix,
		    "messages are named by their inodes, as the "
		    "repair began that was interrupted in",
		    "lock");
	for (int i = 0; i < COUNT; i++)
		if (walk(fix, queue_folder_name(order[i]), move_away,
			order[i]) == -1)
			return -1;
	for (int i = COUNT - 1; i >= 0; i--)
		if (walk(fix, queue_folder_name(order[i]), move_back,
			order[i]) == -1 ||
		    remove_extra_folders(fix, order[i]) == -1)
			return -1;
	return 0;
}
