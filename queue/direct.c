/* SPDX-License-Identifier: ISC */
/* Puts a message into a queue by writing its files. */
#include "queue/direct.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "queue/dir.h"
#include "queue/exitcode.h"

struct direct {
	struct queue_dir *dir;
	uint64_t id;
	int lock_fd; /* no repair while we are here */
	int mess_fd;
	bool has_intd;
};

static int
trouble(int code, struct error *err, const char *what)
{
	int result = errno == ENOSPC || errno == EDQUOT ? QQ_WRITE_ERROR : code;

	error_sys(err, "cannot %s", what);
	return result;
}

/*
 * The caller of a set-user-id program names the queue: who else could change
 * what lies in it could lead us to other files of the queue's user.
 */
static int
check_owner(int root, const char *path, struct error *err)
{
	struct stat st;

	if (fstat(root, &st) == -1)
		return error_sys(err, "cannot stat '%s'", path);
	if ((st.st_uid == geteuid() || st.st_uid == 0) &&
	    (st.st_mode & (S_IWGRP | S_IWOTH)) == 0)
		return 0;
	return error_set(err,
	    "will not write into '%s', which uid %lu owns, mode %03o: it must "
	    "be uid %lu's or root's, and nobody else may write to it (queue-fix "
	    "mends a queue of yours)",
	    path, (unsigned long)st.st_uid, (unsigned)(st.st_mode & 0777),
	    (unsigned long)geteuid());
}

/* The lock and all folders, from one descriptor of the queue's own. */
static int
open_locked_queue(struct direct *direct, const char *path, struct error *err)
{
	AUTO(file_close) int root = queue_open_root(path, err);

	if (root == -1)
		return -1;
	if (check_owner(root, path, err) == 0)
		direct->lock_fd = queue_lock_files(
		    root, path, QUEUE_FOR_FILES, 0, err);
	if (direct->lock_fd != -1 && queue_check_fixed_at(root, path, err) == 0)
		direct->dir = queue_dir_open_at(root, path, err);
	return direct->dir == NULL ? -1 : 0;
}

/* A rename over it would lose a message. */
static int
check_name_is_free(const struct queue_dir *dir, uint64_t id, struct error *err)
{
	switch (queue_stat(dir, QUEUE_MESS, id, NULL)) {
	case 0:
		return 0;
	case 1:
		return error_set(err,
		    "'%s/mess/%llu/%llu' is the name of another file (stop the "
		    "queue and run queue-fix: was it copied?)",
		    dir->path, (unsigned long long)id % dir->split,
		    (unsigned long long)id);
	default:
		return error_sys(err, "cannot look for message %llu in '%s'",
		    (unsigned long long)id, dir->path);
	}
}

/*
 * A new inode has no files of its number, unless they outlived their message
 * in another system's hands: an old envelope would have this message delivered,
 * half written, to the recipients of that one.  They go, durably, first.
 */
static int
remove_strays(const struct queue_dir *dir, uint64_t id, struct error *err)
{
	static const enum queue_folder folders[] = { QUEUE_TODO, QUEUE_INFO,
		QUEUE_LOCAL, QUEUE_REMOTE, QUEUE_BOUNCE, QUEUE_INTD };
	char name[QUEUE_NAME_SIZE];

	if (check_name_is_free(dir, id, err) == -1)
		return -1;
	queue_name(name, id);
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		int folder = queue_dir_fd(dir, folders[i], id);

		if (unlinkat(folder, name, 0) == 0) {
			log_line("warning: removed %s/%s, which had no message",
			    queue_folder_name(folders[i]), name);
			if (fsync(folder) == 0)
				continue;
		} else if (errno == ENOENT)
			continue;
		return error_sys(err, "cannot remove %s of '%s/%s'", name,
		    dir->path, queue_folder_name(folders[i]));
	}
	return 0;
}

/* The new file gets the name of its inode, which no other file has. */
static int
name_mess(struct direct *direct, const char *first, struct error *err)
{
	int pid = queue_dir_fd(direct->dir, QUEUE_PID, 0);
	char name[QUEUE_NAME_SIZE];
	struct stat st;

	if (fstat(direct->mess_fd, &st) == -1)
		return trouble(QQ_PID, err, "stat a file in pid/");
	if (remove_strays(direct->dir, st.st_ino, err) == -1)
		return QQ_LINK_MESS;
	queue_name(name, st.st_ino);
	if (renameat(pid, first,
		queue_dir_fd(direct->dir, QUEUE_MESS, st.st_ino), name) == -1)
		return trouble(QQ_LINK_MESS, err, "name a file in mess/");
	direct->id = st.st_ino; /* S2 */
	return QQ_OK;
}

int
direct_open(
    const char *queue_path, struct direct **direct_out, struct error *err)
{
	struct direct *direct = xcalloc(1, sizeof(*direct));
	char first[64];
	int pid, result;

	direct->mess_fd = direct->lock_fd = -1;
	if (open_locked_queue(direct, queue_path, err) == -1) {
		direct_abort(&direct);
		return QQ_CHDIR;
	}
	pid = queue_dir_fd(direct->dir, QUEUE_PID, 0);
	snprintf(first, sizeof(first), "%ld.%ld.1", (long)getpid(),
	    (long)time(NULL));
	direct->mess_fd = openat(
	    pid, first, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (direct->mess_fd == -1)
		result = trouble(QQ_PID, err, "make a file in pid/");
	else {
		result = name_mess(direct, first, err);
		if (result != QQ_OK)
			unlinkat(pid, first, 0);
	}
	if (result != QQ_OK) {
		direct_abort(&direct);
		return result;
	}
	*direct_out = direct;
	return QQ_OK;
}

int
direct_write(
    struct direct *direct, const char *data, size_t length, struct error *err)
{
	if (file_write_all(direct->mess_fd, data, length) == -1)
		return trouble(QQ_WRITE_ERROR, err, "write the message");
	return QQ_OK;
}

static int
write_intd(
    struct direct *direct, const char *record, size_t length, struct error *err)
{
	AUTO(file_close)
	int fd = queue_open_file(
	    direct->dir, QUEUE_INTD, direct->id, O_WRONLY | O_CREAT | O_EXCL);

	if (fd == -1)
		return trouble(QQ_INTD, err, "make a file in intd/");
	direct->has_intd = true; /* S3 */
	if (file_write_all(fd, record, length) == -1)
		return trouble(QQ_WRITE_ERROR, err, "write the envelope");
	return fsync(fd) == -1 ? trouble(QQ_SYNC, err, "sync the envelope")
			       : QQ_OK;
}

/* The names: S4, durable only when both folders are synced. */
static int
name_todo(struct direct *direct, struct error *err)
{
	int mess = queue_dir_fd(direct->dir, QUEUE_MESS, direct->id);
	int todo = queue_dir_fd(direct->dir, QUEUE_TODO, direct->id);
	char name[QUEUE_NAME_SIZE];

	queue_name(name, direct->id);
	if (fsync(mess) == -1)
		return trouble(QQ_SYNC_FOLDER, err, "sync mess/");
	if (renameat(queue_dir_fd(direct->dir, QUEUE_INTD, direct->id), name,
		todo, name) == -1)
		return trouble(QQ_LINK_TODO, err, "name a file in todo/");
	direct->has_intd = false;
	if (fsync(todo) == -1) {
		int result = trouble(QQ_SYNC_FOLDER, err, "sync todo/");

		queue_unlink(direct->dir, QUEUE_TODO, direct->id);
		return result;
	}
	return QQ_OK;
}

/* Tells a qmail-send that came up meanwhile.  None is not a failure. */
static void
pull_trigger(const struct direct *direct)
{
	AUTO(file_close)
	int fd = openat(queue_dir_fd(direct->dir, QUEUE_LOCK, 0), "trigger",
	    O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;

	if (fd != -1 && fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode) &&
	    write(fd, "", 1) == -1)
		errno = 0; /* full: it is pulled already */
}

int
direct_commit(struct direct **direct_in, const char *record, size_t length,
    struct error *err)
{
	struct direct *direct = *direct_in;
	int result = QQ_OK;

	if (fsync(direct->mess_fd) == -1)
		result = trouble(QQ_SYNC, err, "sync the message");
	if (result == QQ_OK)
		result = write_intd(direct, record, length, err);
	if (result == QQ_OK)
		result = name_todo(direct, err);
	if (result == QQ_OK) {
		pull_trigger(direct);
		direct->id = 0; /* it is qmail-send's now */
	}
	direct_abort(direct_in);
	return result;
}

void
direct_abort(struct direct **direct_in)
{
	struct direct *direct = *direct_in;

	if (direct == NULL)
		return;
	if (direct->has_intd)
		queue_unlink(direct->dir, QUEUE_INTD, direct->id);
	if (direct->id != 0)
		queue_unlink(direct->dir, QUEUE_MESS, direct->id);
	file_close(&direct->mess_fd);
	queue_dir_close(&direct->dir);
	file_close(&direct->lock_fd);
	free(direct);
	*direct_in = NULL;
}
