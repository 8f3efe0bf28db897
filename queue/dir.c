/* SPDX-License-Identifier: ISC */
/* The directory of one queue. */
#include "queue/dir.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/scan.h"
#include "control/layout.h"

enum {
	READ_BYTES = 4096, /* at once, from a file that begins */
	READ_MAX_BYTES = 1024 * 1024,
	FILE_MAX_BYTES = 64 * 1024 * 1024
};

/* For the folders below a queue's root: a link there is nobody's wish. */
enum { FOLDER_FLAGS = O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW };

/* The layout's rows are in the order of the enum. */
static_assert(LAYOUT_queue_lock - LAYOUT_queue_mess == (int)QUEUE_LOCK &&
	LAYOUT_queue_todo - LAYOUT_queue_mess == (int)QUEUE_TODO,
    "folders of a queue");

const char *
queue_folder_name(enum queue_folder folder)
{
	return layout_below(LAYOUT_queue, LAYOUT_queue_mess + folder);
}

int
queue_list(int fd, const char *queue_path, const char *name, queue_visit *visit,
    void *context, struct error *err)
{
	DIR *stream = fd == -1 ? NULL : fdopendir(fd);
	const struct dirent *entry = NULL;
	int result = 0;

	while (stream != NULL && result == 0) {
		errno = 0;
		entry = readdir(stream);
		if (entry == NULL)
			break;
		if (strcmp(entry->d_name, ".") != 0 &&
		    strcmp(entry->d_name, "..") != 0)
			result = visit(fd, entry, context);
	}
	if (stream == NULL || (entry == NULL && errno != 0))
		result = error_sys(
		    err, "cannot list '%s/%s'", queue_path, name);
	if (stream != NULL)
		closedir(stream);
	else if (fd != -1)
		close(fd);
	return result;
}

/* Makes it one more than the largest number of a folder, so far. */
static int
count_part(int folder, const struct dirent *entry, void *context)
{
	int *count = context;
	uint64_t number;
	struct stat st;

	if (scan_u64(entry->d_name, QUEUE_SPLIT_MAX - 1, &number) &&
	    (int)number >= *count &&
	    (fstatat(folder, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == -1 ||
		S_ISDIR(st.st_mode)))
		*count = (int)number + 1;
	return 0;
}

int
queue_find_split(int root, const char *path, struct error *err)
{
	int split = 0;

	/* A lost folder must not make a smaller split: every message would be
	 * looked for in the folder of another one, and not be found. */
	for (enum queue_folder folder = 0; folder < QUEUE_FOLDER_SPLIT_END;
	     folder++) {
		int fd = openat(root, queue_folder_name(folder), FOLDER_FLAGS);

		if (fd == -1 && errno == ENOENT)
			continue;
		if (queue_list(fd, path, queue_folder_name(folder), count_part,
			&split, err) == -1)
			return error_context(
			    err, "not a queue, as queue-fix makes it");
	}
	return split;
}

int
queue_part_missing(const char *path, enum queue_folder folder, unsigned part,
    struct error *err)
{
	return error_set(err,
	    "'%s/%s/%u' is missing, and with it what lay there: stop the queue "
	    "and put the folder back, from lost+found or a backup, or, when "
	    "that is lost for good, make an empty one with mkdir; then run "
	    "queue-fix",
	    path, queue_folder_name(folder), part);
}

static int
open_failed(const struct queue_dir *dir, const char *name, struct error *err)
{
	return error_sys(err,
	    "cannot open queue folder '%s/%s' (repair it with queue-fix)",
	    dir->path, name);
}

/* One of a split one; the parent is taken to be open. */
static int
open_part(struct queue_dir *dir, int parent, enum queue_folder folder,
    unsigned part, struct error *err)
{
	char number[QUEUE_NAME_SIZE], name[2 * QUEUE_NAME_SIZE];

	queue_name(number, part);
	dir->folders[folder][part] = openat(parent, number, FOLDER_FLAGS);
	if (dir->folders[folder][part] != -1)
		return 0;
	if (errno == ENOENT)
		return queue_part_missing(dir->path, folder, part, err);
	snprintf(
	    name, sizeof(name), "%s/%s", queue_folder_name(folder), number);
	return open_failed(dir, name, err);
}

static int
open_folder(struct queue_dir *dir, int root, enum queue_folder folder,
    struct error *err)
{
	unsigned count = queue_parts(dir, folder), i;
	AUTO(file_close)
	int fd = openat(root, queue_folder_name(folder), FOLDER_FLAGS);
	int result = 0;

	dir->folders[folder] = xmalloc(count * sizeof(int));
	for (i = 0; i < count; i++)
		dir->folders[folder][i] = -1;
	if (fd == -1)
		return open_failed(dir, queue_folder_name(folder), err);
	if (folder >= QUEUE_FOLDER_SPLIT_END) {
		dir->folders[folder][0] = fd;
		fd = -1;
	}
	for (i = 0; fd != -1 && i < count && result == 0; i++)
		result = open_part(dir, fd, folder, i, err);
	return result;
}

int
queue_open_root(const char *path, struct error *err)
{
	int root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (root == -1)
		error_sys(err,
		    "cannot open queue '%s' (MQMAIL_HOME or QUEUEDIR says "
		    "where; queue-fix makes a queue)",
		    path);
	return root;
}

struct queue_dir *
queue_dir_open_at(int root, const char *path, struct error *err)
{
	struct queue_dir *dir = xcalloc(1, sizeof(*dir));
	const char *slash = strrchr(path, '/');
	int split = queue_find_split(root, path, err);

	dir->path = xstrdup(path);
	dir->name = xstrdup(slash == NULL ? path : slash + 1);
	if (split == -1)
		goto fail;
	dir->split = (unsigned)split;
	if (split == 0) {
		error_set(err,
		    "'%s' has no folder mess/0: not a queue (make "
		    "it with queue-fix)",
		    path);
		goto fail;
	}
	for (enum queue_folder folder = 0; folder < QUEUE_FOLDER_COUNT;
	     folder++)
		if (open_folder(dir, root, folder, err) == -1)
			goto fail;
	return dir;
fail:
	queue_dir_close(&dir);
	return NULL;
}

struct queue_dir *
queue_dir_open(const char *path, struct error *err)
{
	AUTO(file_close) int root = queue_open_root(path, err);

	return root == -1 ? NULL : queue_dir_open_at(root, path, err);
}

void
queue_dir_close(struct queue_dir **dir_in)
{
	struct queue_dir *dir = *dir_in;

	if (dir == NULL)
		return;
	for (enum queue_folder folder = 0; folder < QUEUE_FOLDER_COUNT;
	     folder++) {
		if (dir->folders[folder] == NULL)
			continue;
		for (unsigned i = 0; i < queue_parts(dir, folder); i++)
			file_close(&dir->folders[folder][i]);
		free(dir->folders[folder]);
	}
	free(dir->path);
	free(dir->name);
	free(dir);
	*dir_in = NULL;
}

int
queue_dir_fd(const struct queue_dir *dir, enum queue_folder folder, uint64_t id)
{
	return dir->folders[folder][id % queue_parts(dir, folder)];
}

void
queue_name(char name_out[QUEUE_NAME_SIZE], uint64_t id)
{
	snprintf(name_out, QUEUE_NAME_SIZE, "%" PRIu64, id);
}

int
queue_open_file(const struct queue_dir *dir, enum queue_folder folder,
    uint64_t id, int flags)
{
	char name[QUEUE_NAME_SIZE];

	queue_name(name, id);
	return openat(queue_dir_fd(dir, folder, id), name,
	    flags | O_CLOEXEC | O_NOFOLLOW, 0600);
}

int
queue_stat(const struct queue_dir *dir, enum queue_folder folder, uint64_t id,
    struct stat *st_out)
{
	int fd = queue_dir_fd(dir, folder, id), result;
	char name[QUEUE_NAME_SIZE];

	queue_name(name, id);
	result = st_out == NULL
	    ? faccessat(fd, name, F_OK, AT_SYMLINK_NOFOLLOW | AT_EACCESS)
	    : fstatat(fd, name, st_out, AT_SYMLINK_NOFOLLOW);
	if (result == 0)
		return 1;
	return errno == ENOENT ? 0 : -1;
}

int
queue_has_file(
    const struct queue_dir *dir, enum queue_folder folder, uint64_t id)
{
	return queue_stat(dir, folder, id, NULL);
}

int
queue_list_folder(const struct queue_dir *dir, enum queue_folder folder,
    unsigned part, queue_visit *visit, void *context, struct error *err)
{
	int fd = openat(queue_dir_fd(dir, folder, part), ".", FOLDER_FLAGS);

	return queue_list(
	    fd, dir->path, queue_folder_name(folder), visit, context, err);
}

int
queue_read_first(int fd, size_t max_bytes, struct buf *buf)
{
	size_t done = 0;

	while (done < max_bytes) {
		size_t part = READ_BYTES;
		ssize_t n;

		if (done > part) /* it is a long one */
			part = done < READ_MAX_BYTES ? done : READ_MAX_BYTES;
		if (part > max_bytes - done)
			part = max_bytes - done;
		buf_reserve(buf, part);
		n = pread(fd, buf->data + buf->length, part, (off_t)done);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			return (int)n;
		done += (size_t)n;
		buf->length += (size_t)n;
		buf->data[buf->length] = '\0';
	}
	return 0;
}

int
queue_read(int fd, struct buf *buf)
{
	size_t before = buf->length;

	if (queue_read_first(fd, FILE_MAX_BYTES + 1, buf) == -1)
		return -1;
	if (buf->length - before <= FILE_MAX_BYTES)
		return 0;
	errno = EFBIG;
	return -1;
}

int
queue_unlink(const struct queue_dir *dir, enum queue_folder folder, uint64_t id)
{
	char name[QUEUE_NAME_SIZE];

	queue_name(name, id);
	if (unlinkat(queue_dir_fd(dir, folder, id), name, 0) == -1 &&
	    errno != ENOENT)
		return -1;
	return 0;
}

char *
queue_lock_path(const char *queue_path, const char *name)
{
	return xasprintf("%s/lock/%s", queue_path, name);
}

bool
queue_is_kept(const char *name)
{
	return strncmp(name, QUEUE_DAMAGED, strlen(QUEUE_DAMAGED)) == 0 ||
	    strncmp(name, QUEUE_ASIDE, strlen(QUEUE_ASIDE)) == 0;
}

/* flock, waiting up to timeout_ms.  fd; or -1 with errno, and it is closed. */
static int
wait_lock(int fd, int operation, int timeout_ms)
{
	int64_t end = clock_ms() + timeout_ms;

	while (flock(fd, operation | LOCK_NB) == -1) {
		if (errno != EWOULDBLOCK || clock_ms() >= end) {
			file_close(&fd);
			break;
		}
		clock_sleep_ms(50);
	}
	return fd;
}

int
queue_take_at(
    int root, const char *queue_path, int timeout_ms, struct error *err)
{
	AUTO(file_close)
	int lock = openat(root, queue_folder_name(QUEUE_LOCK), FOLDER_FLAGS);
	int fd = lock == -1
	    ? -1
	    : openat(lock, "sendmutex",
		  O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd == -1)
		error_sys(err,
		    "cannot open '%s/lock/sendmutex' (make or repair the queue "
		    "with queue-fix)",
		    queue_path);
	else if ((fd = wait_lock(fd, LOCK_EX, timeout_ms)) == -1)
		error_sys(err,
		    "cannot lock '%s/lock/sendmutex' (is another qmail-send "
		    "running on this queue?)",
		    queue_path);
	return fd;
}

int
queue_take(const char *queue_path, int timeout_ms, struct error *err)
{
	AUTO(file_close) int root = queue_open_root(queue_path, err);

	return root == -1 ? -1
			  : queue_take_at(root, queue_path, timeout_ms, err);
}

int
queue_lock_files(int root, const char *queue_path, enum queue_lock lock,
    int timeout_ms, struct error *err)
{
	bool is_repair = lock == QUEUE_FOR_REPAIR;
	int fd = openat(root, queue_folder_name(QUEUE_PID), FOLDER_FLAGS);

	if (fd == -1)
		error_sys(err, "cannot open '%s/pid' (make it with queue-fix)",
		    queue_path);
	else if ((fd = wait_lock(
		      fd, is_repair ? LOCK_EX : LOCK_SH, timeout_ms)) == -1)
		error_sys(err, "cannot lock '%s/pid' (%s)", queue_path,
		    is_repair ? "a qmail-queue is writing a message there: try "
				"again when it has ended"
			      : "queue-fix is repairing the queue");
	return fd;
}

int
queue_check_fixed_at(int root, const char *queue_path, struct error *err)
{
	AUTO(file_close)
	int lock = openat(
	    root, queue_folder_name(QUEUE_LOCK), FOLDER_FLAGS | O_PATH);
	struct stat st;

	if (lock != -1 &&
	    fstatat(lock, QUEUE_FIXING, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return error_set(err,
		    "queue-fix was interrupted in '%s' (run it again; "
		    "'%s/lock/" QUEUE_FIXING "' goes when it has done all)",
		    queue_path, queue_path);
	return errno == ENOENT
	    ? 0
	    : error_sys(err, "cannot look for '%s/lock/" QUEUE_FIXING "'",
		  queue_path);
}

int
queue_check_fixed(const char *queue_path, struct error *err)
{
	AUTO(file_close) int root = queue_open_root(queue_path, err);

	if (root == -1)
		return errno == ENOENT ? 0 : -1;
	return queue_check_fixed_at(root, queue_path, err);
}

int
queue_is_owned(const char *queue_path, struct error *err)
{
	AUTO(mem_free) char *path = queue_lock_path(queue_path, "sendmutex");
	AUTO(file_close)
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd == -1)
		return errno == ENOENT
		    ? 0
		    : error_sys(err, "cannot open '%s'", path);
	if (flock(fd, LOCK_SH | LOCK_NB) == 0)
		return 0;
	return errno == EWOULDBLOCK
	    ? 1
	    : error_sys(err, "cannot test the lock '%s'", path);
}
