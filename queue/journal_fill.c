/* SPDX-License-Identifier: ISC */
/* From the journal into todo/. */
#include "queue/journal_fill.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/sync_pool.h"
#include "queue/spare.h"

enum { AT_ONCE = 128, SYNC_THREADS = 8, FEW = 4 };

/* What failed with pid/ID.e. */
static int
failed(const struct queue_dir *dir, const char *what, uint64_t id,
    struct error *err)
{
	return error_sys(
	    err, "cannot %s '%s/pid/%" PRIu64 ".e'", what, dir->path, id);
}

/* Writes the envelope into pid/ID.e, and leaves that open in *fd_out. */
static int
write_spare(const struct queue_dir *dir, bool is_running,
    const struct journal_record *record, int *fd_out, struct error *err)
{
	int pid = queue_dir_fd(dir, QUEUE_PID, 0);
	char name[QUEUE_NAME_SIZE];

	spare_envelope_name(name, record->id);
	if (!is_running)
		unlinkat(pid, name, 0);
	*fd_out = openat(pid, name,
	    O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW |
		(is_running ? O_TRUNC : O_EXCL),
	    0600);
	if (*fd_out == -1 ||
	    file_write_all(*fd_out, record->envelope, record->length) == -1)
		return failed(dir, "write", record->id, err);
	return 0;
}

static int
place(const struct queue_dir *dir, uint64_t id, struct error *err)
{
	char from[QUEUE_NAME_SIZE], to[QUEUE_NAME_SIZE];

	spare_envelope_name(from, id);
	queue_name(to, id, "");
	if (renameat(queue_dir_fd(dir, QUEUE_PID, 0), from,
		queue_dir_fd(dir, QUEUE_TODO, 0), to) == -1)
		return failed(dir, "move to todo/", id, err);
	return 0;
}

/* At most AT_ONCE; the folder is not synced yet. */
static int
fill_some(const struct queue_dir *dir, bool is_running,
    const struct journal_record *records, size_t count, struct sync_pool *pool,
    struct error *err)
{
	struct sync_job syncs[AT_ONCE];
	size_t i, opened = 0;
	int result = 0;

	while (result == 0 && opened < count) {
		syncs[opened] = (struct sync_job){ .fd = -1 };
		result = write_spare(
		    dir, is_running, &records[opened], &syncs[opened].fd, err);
		opened += syncs[opened].fd != -1;
	}
	if (result == 0)
		sync_pool_run(pool, syncs, count);
	for (i = 0; result == 0 && i < count; i++) {
		errno = syncs[i].error;
		result = errno != 0 ? failed(dir, "sync", records[i].id, err)
				    : place(dir, records[i].id, err);
	}
	while (opened > 0)
		close(syncs[--opened].fd);
	return result;
}

int
journal_fill(const struct queue_dir *dir, bool is_running,
    const struct journal_record *records, size_t count, struct error *err)
{
	struct sync_pool *pool = sync_pool_new(count > FEW ? SYNC_THREADS : 0);
	size_t done = 0;
	int result = 0;

	while (result == 0 && done < count) {
		size_t some = count - done < AT_ONCE ? count - done : AT_ONCE;

		result = fill_some(
		    dir, is_running, records + done, some, pool, err);
		done += some;
	}
	sync_pool_free(&pool);
	if (result == 0 && fsync(queue_dir_fd(dir, QUEUE_TODO, 0)) == -1)
		result = error_sys(err, "cannot sync '%s/todo'", dir->path);
	return result;
}

enum journal_match
journal_match(const struct queue_dir *dir, const struct journal_record *record)
{
	char name[QUEUE_NAME_SIZE];
	struct stat st;

	queue_name(name, record->id, "");
	if (fstatat(queue_dir_fd(dir, QUEUE_MESS, record->id), name, &st,
		AT_SYMLINK_NOFOLLOW) == -1)
		return errno == ENOENT ? JOURNAL_ABSENT : JOURNAL_UNKNOWN;
	if ((uint64_t)st.st_size != record->size_bytes)
		return JOURNAL_OTHER;
	/* A time of change that a power cut lost is an earlier one. */
	return st.st_mtime <= record->mtime_s || st.st_ino != record->id
	    ? JOURNAL_MATCH
	    : JOURNAL_OTHER;
}

int
journal_set_aside(const struct queue_dir *dir,
    const struct journal_record *record, struct error *err)
{
	int lock = queue_dir_fd(dir, QUEUE_LOCK, 0), result = 0, fd;
	char name[QUEUE_NAME_SIZE + sizeof(QUEUE_ASIDE)];

	snprintf(name, sizeof(name), QUEUE_ASIDE "%" PRIu64, record->id);
	fd = openat(lock, name,
	    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd == -1 ||
	    file_write_all(fd, record->envelope, record->length) == -1 ||
	    fsync(fd) == -1 || fsync(lock) == -1)
		result = error_sys(
		    err, "cannot write '%s/lock/%s'", dir->path, name);
	if (fd != -1)
		close(fd);
	return result;
}
