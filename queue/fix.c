/* SPDX-License-Identifier: ISC */
/* Makes and repairs a queue directory. */
#include "queue/fix.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "queue/fix_private.h"
#include "queue/journal.h"

enum { TCPTO_BYTES = 1024 };

/* For a qmail-queue that writes files alone to end. */
enum { WRITERS_MS = 30000 };

static int
fix_folder(struct fix *fix, enum layout_id id, const char *name)
{
	struct stat st;

	if (fstatat(fix->root, name, &st, AT_SYMLINK_NOFOLLOW) == -1) {
		if (errno != ENOENT)
			return fix_failed(fix, "stat", name);
		fix_say(fix, "make folder", name, strerror(errno));
		if (fix->options->is_test)
			return 0;
		/* How many there are says where messages lie. */
		if (strchr(name, '/') != NULL && fix_begin(fix) == -1)
			return -1;
		if (mkdirat(fix->root, name, layout_rows[id].mode) == -1)
			return fix_failed(fix, "make folder", name);
	} else if (!S_ISDIR(st.st_mode) && fix->options->see != NULL) {
		fix_say(fix, "replace", name, "it is not a folder");
		return 0;
	} else if (!S_ISDIR(st.st_mode))
		return error_set(fix->err,
		    "'%s/%s' is not a folder; move it "
		    "away",
		    fix->path, name);
	return fix_mode(fix, id, name);
}

/* Makes a file of that size, or a pipe. */
static int
make_lock_file(struct fix *fix, enum layout_id id, off_t size)
{
	const struct layout_row *row = &layout_rows[id];
	const char *name = layout_below(LAYOUT_queue, id);
	AUTO(file_close) int fd = -1;

	if (row->kind == LAYOUT_FIFO)
		return mkfifoat(fix->root, name, row->mode);
	fd = openat(fix->root, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
	    row->mode);
	return fd == -1 ? -1 : ftruncate(fd, size);
}

static int
fix_lock_file(struct fix *fix, enum layout_id id, off_t size)
{
	const char *name = layout_below(LAYOUT_queue, id);
	struct layout_faults faults;
	struct stat st;

	if (fstatat(fix->root, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		layout_judge(id, &st, st.st_uid, &faults);
		if (*faults.kind == '\0')
			return fix_mode(fix, id, name);
		fix_say(fix, "replace", name, faults.kind);
		if (!fix->options->is_test &&
		    unlinkat(fix->root, name, 0) == -1)
			return fix_failed(fix, "remove", name);
	} else if (errno != ENOENT)
		return fix_failed(fix, "stat", name);
	else
		fix_say(fix, "make", name, strerror(errno));
	if (fix->options->is_test)
		return 0;
	return make_lock_file(fix, id, size) == -1
	    ? fix_failed(fix, "make", name)
	    : fix_mode(fix, id, name);
}

static int
fix_base_folders(struct fix *fix)
{
	for (enum queue_folder folder = 0; folder < QUEUE_FOLDER_COUNT;
	     folder++)
		if (fix_folder(fix, LAYOUT_queue_mess + folder,
			queue_folder_name(folder)) == -1)
			return -1;
	return 0;
}

/* The numbered folders of this range, in each that is split. */
static int
fix_parts(struct fix *fix, unsigned first, unsigned end)
{
	char name[FIX_PATH_SIZE];

	for (enum queue_folder folder = 0; folder < QUEUE_FOLDER_SPLIT_END;
	     folder++)
		for (unsigned i = first; i < end; i++) {
			snprintf(name, sizeof(name), "%s/%u",
			    queue_folder_name(folder), i);
			if (fix_folder(fix, LAYOUT_queue_part, name) == -1)
				return -1;
		}
	return 0;
}

static int
fix_lock_files(struct fix *fix)
{
	char name[FIX_PATH_SIZE];

	if (fix_lock_file(fix, LAYOUT_queue_sendmutex, 0) == -1 ||
	    fix_lock_file(fix, LAYOUT_queue_tcpto, TCPTO_BYTES) == -1 ||
	    fix_lock_file(fix, LAYOUT_queue_trigger, 0) == -1)
		return -1;
	/* qmail-send makes these. */
	for (int i = 0; i < JOURNAL_SEGMENTS; i++) {
		snprintf(name, sizeof(name), "lock/" QUEUE_JOURNAL ".%d", i);
		if (faccessat(fix->root, name, F_OK, AT_SYMLINK_NOFOLLOW) ==
			0 &&
		    fix_mode(fix, LAYOUT_queue_journal, name) == -1)
			return -1;
	}
	return 0;
}

static int
sync_all(struct fix *fix)
{
	/* For a repair the whole filesystem is simplest, and rare enough. */
	if (!fix->options->is_test && syncfs(fix->root) == -1)
		return fix_failed(fix, "sync", ".");
	return 0;
}

static int
is_message(int folder, const struct dirent *entry, void *context)
{
	(void)folder;
	(void)context;
	return entry->d_name[0] != '.';
}

/*
 * Refuses what would lose mail that may still be found.  Without the messages
 * of a folder of mess/ their other files would be removed; without one of the
 * other folders the messages would be taken for done, or never queued.
 */
static int
check_part(struct fix *fix, enum queue_folder folder, unsigned part)
{
	char name[FIX_PATH_SIZE];
	struct stat st;
	int has_lost;

	snprintf(name, sizeof(name), "%s/%u", queue_folder_name(folder), part);
	if (fstatat(fix->root, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	if (errno != ENOENT)
		return fix_failed(fix, "stat", name);
	snprintf(name, sizeof(name), "mess/%u", part);
	has_lost = folder == QUEUE_MESS ? 1
					: fix_list(fix, name, is_message, NULL);
	return has_lost == 1
	    ? queue_part_missing(fix->path, folder, part, fix->err)
	    : has_lost;
}

/* The split that the queue has now, 0 for a new one, in *split_out. */
static int
check_parts(struct fix *fix, unsigned *split_out)
{
	static const char fixing[] = "lock/" QUEUE_FIXING;
	struct stat st;
	int split = queue_find_split(fix->root, fix->path, fix->err), part;

	if (split == -1)
		return -1;
	*split_out = (unsigned)split;
	/* An interrupted repair made some itself, or removed some. */
	if (fstatat(fix->root, fixing, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	if (errno != ENOENT)
		return fix_failed(fix, "look for", fixing);
	/* mess/ comes first. */
	for (enum queue_folder folder = 0; folder < QUEUE_FOLDER_SPLIT_END;
	     folder++)
		for (part = 0; part < split; part++)
			if (check_part(fix, folder, (unsigned)part) == -1)
				return -1;
	return 0;
}

/* The locks lie in these, and they have to be the owner's. */
static int
make_first_folders(struct fix *fix)
{
	const char *lock = queue_folder_name(QUEUE_LOCK);
	const char *pid = queue_folder_name(QUEUE_PID);
	const char *mutex = layout_below(LAYOUT_queue, LAYOUT_queue_sendmutex);

	if (fix_folder(fix, LAYOUT_queue_lock, lock) == -1 ||
	    fix_owner(fix, lock) == -1 || fix_owner(fix, mutex) == -1 ||
	    fix_folder(fix, LAYOUT_queue_pid, pid) == -1 ||
	    fix_owner(fix, pid) == -1)
		return -1;
	return 0;
}

/* Nobody else works with the queue from here on; their locks, or -1. */
static int
take_queue(struct fix *fix, int locks_out[2])
{
	if (fix_as_owner(fix) == -1)
		return -1;
	/* queue_is_owned() holds it for a moment, too. */
	locks_out[0] = queue_take_at(fix->root, fix->path, 200, fix->err);
	if (locks_out[0] != -1)
		locks_out[1] = queue_lock_files(fix->root, fix->path,
		    QUEUE_FOR_REPAIR, WRITERS_MS, fix->err);
	return fix_as_caller(fix) == -1 || locks_out[1] == -1 ? -1 : 0;
}

/* What the journal has gets its files where the queue has its messages now. */
static int
repair(struct fix *fix)
{
	unsigned split;

	if (fix_resume(fix) == -1 || check_parts(fix, &split) == -1 ||
	    fix_base_folders(fix) == -1 || fix_parts(fix, 0, split) == -1 ||
	    (split > 0 && fix->options->see == NULL &&
		fix_journal(fix) == -1) ||
	    fix_parts(fix, split, fix->options->split) == -1 ||
	    fix_lock_files(fix) == -1 || fix_messages(fix) == -1 ||
	    sync_all(fix) == -1)
		return -1;
	return fix_end(fix);
}

static int
take_and_repair(struct fix *fix, int locks[2])
{
	int result = -1;

	if (fix_owner(fix, ".") == -1 ||
	    fix_folder(fix, LAYOUT_queue, ".") == -1)
		return -1;
	if (!fix->options->is_test &&
	    (make_first_folders(fix) == -1 || take_queue(fix, locks) == -1))
		return -1;
	if (fix_owners(fix) == -1)
		return -1;
	if (fix_as_owner(fix) == 0)
		result = repair(fix);
	return fix_as_caller(fix) == -1 ? -1 : result;
}

int
queue_fix(
    const char *path, const struct fix_options *options, struct error *err)
{
	struct fix fix = { .path = path,
		.options = options,
		.caller_uid = geteuid(),
		.caller_gid = getegid(),
		.err = err };
	int locks[2] = { -1, -1 }, result;
	struct stat st;

	if (stat(path, &st) == -1 && errno == ENOENT) {
		fix_say(&fix, "make the queue", "", strerror(errno));
		if (options->is_test)
			return 1;
		if (file_make_dirs(path, 0755, err) == -1)
			return -1;
	}
	fix.root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fix.root == -1)
		return error_sys(err, "cannot open '%s'", path);
	result = take_and_repair(&fix, locks);
	for (int i = 0; i < 2; i++)
		if (locks[i] != -1)
			close(locks[i]);
	close(fix.root);
	free(fix.groups);
	idmap_release(&fix.by_name);
	idmap_release(&fix.by_fix_name);
	idmap_release(&fix.by_inode);
	return result == -1 ? -1 : fix.changes;
}
