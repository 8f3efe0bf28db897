/* SPDX-License-Identifier: ISC */
/* The spare files of a queue. */
#include "queue/spare.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/scan.h"

enum { OSSIFIED_S = 129600 }; /* 36 hours: nobody can still be writing it */

struct spare_pool {
	const struct queue_dir *dir;
	int pid_folder;
	unsigned max;
	atomic_uint next_name;
	pthread_mutex_t lock; /* for the two below */
	struct spare *spares;
	unsigned count;
};

void
spare_envelope_name(char name_out[QUEUE_NAME_SIZE], uint64_t id)
{
	queue_name(name_out, id, ".e");
}

struct spare_pool *
spare_pool_new(const struct queue_dir *dir, unsigned max)
{
	struct spare_pool *pool = xcalloc(1, sizeof(*pool));

	pool->dir = dir;
	pool->pid_folder = queue_dir_fd(dir, QUEUE_PID, 0);
	pool->max = max;
	pool->spares = xcalloc(max, sizeof(*pool->spares));
	pthread_mutex_init(&pool->lock, NULL);
	return pool;
}

void
spare_pool_free(struct spare_pool **pool_in)
{
	struct spare_pool *pool = *pool_in;

	if (pool == NULL)
		return;
	while (pool->count > 0)
		spare_close(&pool->spares[--pool->count]);
	pthread_mutex_destroy(&pool->lock);
	free(pool->spares);
	free(pool);
	*pool_in = NULL;
}

void
spare_close(struct spare *spare)
{
	if (spare->mess_fd != -1)
		close(spare->mess_fd);
	if (spare->envelope_fd != -1)
		close(spare->envelope_fd);
	spare->mess_fd = spare->envelope_fd = -1;
}

int
spare_is_unshared(int fd)
{
	if (fcntl(fd, F_SETLEASE, F_WRLCK) == -1)
		return errno == EAGAIN || errno == EBUSY ? 0 : -1;
	fcntl(fd, F_SETLEASE, F_UNLCK);
	return 1;
}

void
spare_discard(struct spare_pool *pool, struct spare *spare)
{
	char name[QUEUE_NAME_SIZE];

	/*
	 * Without its message file the number is free, for another pair whose
	 * envelope would go.  What cannot be removed now is found later: a pair
	 * by adoption, a message file alone as garbage.
	 */
	spare_envelope_name(name, spare->id);
	unlinkat(pool->pid_folder, name, 0);
	queue_unlink(pool->dir, QUEUE_MESS, spare->id);
	spare_close(spare);
}

/* A rename over it would lose a message. */
static int
check_name_is_free(const struct queue_dir *dir, uint64_t id, struct error *err)
{
	char name[QUEUE_NAME_SIZE];
	struct stat st;

	queue_name(name, id, "");
	if (fstatat(queue_dir_fd(dir, QUEUE_MESS, id), name, &st,
		AT_SYMLINK_NOFOLLOW) == 0)
		return error_set(err,
		    "'%s/mess/%llu/%s' is the name of another file (stop the "
		    "queue and run queue-fix: was it copied?)",
		    dir->path, (unsigned long long)id % dir->split, name);
	return errno == ENOENT
	    ? 0
	    : error_sys(
		  err, "cannot look for message %s in '%s'", name, dir->path);
}

/*
 * A new inode has no files of its number, unless they outlived their message
 * in another system's hands: those go, durably, before it is anybody's.
 */
int
spare_remove_strays(const struct queue_dir *dir, uint64_t id, struct error *err)
{
	static const enum queue_folder folders[] = { QUEUE_TODO, QUEUE_INFO,
		QUEUE_LOCAL, QUEUE_REMOTE, QUEUE_BOUNCE, QUEUE_INTD };
	char name[QUEUE_NAME_SIZE];
	size_t i;

	if (check_name_is_free(dir, id, err) == -1)
		return -1;
	queue_name(name, id, "");
	for (i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
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

/* Gives a message file the name of its inode. */
static int
name_mess(struct spare_pool *pool, struct spare *spare, const char *first,
    struct error *err)
{
	char name[QUEUE_NAME_SIZE];
	struct stat st;

	if (fstat(spare->mess_fd, &st) == -1)
		return error_sys(
		    err, "cannot stat '%s/pid/%s'", pool->dir->path, first);
	spare->id = st.st_ino;
	queue_name(name, spare->id, "");
	if (spare_remove_strays(pool->dir, spare->id, err) == -1)
		return -1;
	if (renameat(pool->pid_folder, first,
		queue_dir_fd(pool->dir, QUEUE_MESS, spare->id), name) == -1)
		return error_sys(
		    err, "cannot rename '%s/pid/%s'", pool->dir->path, first);
	return 0;
}

/* Makes the message file: under any name first, which then gets its inode's. */
static int
make_mess(struct spare_pool *pool, struct spare *spare, struct error *err)
{
	char first[QUEUE_NAME_SIZE];

	snprintf(first, sizeof(first), "new.%ld.%u", (long)getpid(),
	    atomic_fetch_add(&pool->next_name, 1));
	spare->mess_fd = openat(pool->pid_folder, first,
	    O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (spare->mess_fd == -1)
		return error_sys(
		    err, "cannot create '%s/pid/%s'", pool->dir->path, first);
	if (name_mess(pool, spare, first, err) == 0)
		return 0;
	unlinkat(pool->pid_folder, first, 0);
	spare_close(spare);
	return -1;
}

static int
open_envelope(struct spare_pool *pool, struct spare *spare, int flags)
{
	char name[QUEUE_NAME_SIZE];

	spare_envelope_name(name, spare->id);
	spare->envelope_fd = openat(pool->pid_folder, name,
	    O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
	return spare->envelope_fd == -1 ? -1 : 0;
}

static int
make_spare(struct spare_pool *pool, struct spare *spare, struct error *err)
{
	char name[QUEUE_NAME_SIZE];

	*spare = (struct spare)SPARE_NONE;
	if (make_mess(pool, spare, err) == -1)
		return -1;
	/* What is there under its name may have another one. */
	spare_envelope_name(name, spare->id);
	unlinkat(pool->pid_folder, name, 0);
	if (open_envelope(pool, spare, O_CREAT | O_EXCL) == 0)
		return 0;
	error_sys(err, "cannot create '%s/pid/%llu.e'", pool->dir->path,
	    (unsigned long long)spare->id);
	queue_unlink(pool->dir, QUEUE_MESS, spare->id);
	spare_close(spare);
	return -1;
}

int
spare_take(struct spare_pool *pool, struct spare *spare_out, struct error *err)
{
	bool is_found = false;

	pthread_mutex_lock(&pool->lock);
	if (pool->count > 0) {
		*spare_out = pool->spares[--pool->count];
		is_found = true;
	}
	pthread_mutex_unlock(&pool->lock);
	return is_found ? 0 : make_spare(pool, spare_out, err);
}

/*
 * Small, and under its name: what is written to a file that another one was
 * renamed over would not be what the name then stands for.
 */
static bool
can_serve(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_size <= SPARE_MAX_BYTES &&
	    st.st_nlink == 1;
}

void
spare_give(struct spare_pool *pool, struct spare *spare)
{
	bool is_kept = false;

	if (can_serve(spare->mess_fd) && can_serve(spare->envelope_fd) &&
	    spare_is_unshared(spare->mess_fd) == 1) {
		pthread_mutex_lock(&pool->lock);
		if (pool->count < pool->max) {
			pool->spares[pool->count++] = *spare;
			is_kept = true;
		}
		pthread_mutex_unlock(&pool->lock);
	}
	if (!is_kept)
		spare_discard(pool, spare);
	*spare = (struct spare)SPARE_NONE;
}

static bool
exists(const struct queue_dir *dir, enum queue_folder folder, uint64_t id)
{
	char name[QUEUE_NAME_SIZE];

	queue_name(name, id, "");
	return faccessat(queue_dir_fd(dir, folder, id), name, F_OK,
		   AT_SYMLINK_NOFOLLOW) == 0 ||
	    errno != ENOENT;
}

/* Does "ID.e" belong to a message file in S2?  Then both are a pair. */
static bool
adopt(struct spare_pool *pool, const char *name)
{
	struct spare spare = SPARE_NONE;
	size_t length = strlen(name);
	struct stat st;

	if (length < 3 || strcmp(name + length - 2, ".e") != 0 ||
	    !scan_u64n(name, length - 2, UINT64_MAX, &spare.id) ||
	    spare.id == 0 || exists(pool->dir, QUEUE_TODO, spare.id) ||
	    exists(pool->dir, QUEUE_INFO, spare.id))
		return false;
	spare.mess_fd = queue_open_file(
	    pool->dir, QUEUE_MESS, spare.id, O_RDWR);
	if (spare.mess_fd == -1 || fstat(spare.mess_fd, &st) == -1 ||
	    st.st_ino != spare.id || !S_ISREG(st.st_mode) || st.st_nlink != 1 ||
	    open_envelope(pool, &spare, 0) == -1) {
		spare_close(&spare);
		return false;
	}
	spare.is_named = true; /* sync_folders() */
	spare_give(pool, &spare);
	return true;
}

/*
 * A pair was never acknowledged, or its envelope left todo/ or info/: syncs
 * make that, and the names in mess/, durable before anything is used again.
 */
static int
sync_folders(const struct queue_dir *dir, struct error *err)
{
	unsigned i;

	if (fsync(queue_dir_fd(dir, QUEUE_TODO, 0)) == -1)
		return error_sys(err, "cannot sync '%s/todo'", dir->path);
	for (i = 0; i < dir->split; i++)
		if (fsync(queue_dir_fd(dir, QUEUE_INFO, i)) == -1 ||
		    fsync(queue_dir_fd(dir, QUEUE_MESS, i)) == -1)
			return error_sys(
			    err, "cannot sync a folder of '%s'", dir->path);
	return 0;
}

/* Adopts or removes one file of pid/. */
static int
adopt_or_remove(struct spare_pool *pool, const char *name, struct error *err)
{
	struct stat st;

	if (adopt(pool, name) ||
	    fstatat(pool->pid_folder, name, &st, AT_SYMLINK_NOFOLLOW) == -1 ||
	    st.st_mtime >= time(NULL) - OSSIFIED_S)
		return 0;
	if (unlinkat(pool->pid_folder, name, 0) == -1 && errno != ENOENT)
		return error_sys(
		    err, "cannot remove '%s/pid/%s'", pool->dir->path, name);
	return 0;
}

int
spare_pool_adopt(struct spare_pool *pool, struct error *err)
{
	int fd = openat(
	    pool->pid_folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = fd == -1 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	int result;

	if (stream == NULL) {
		error_sys(err, "cannot list '%s/pid'", pool->dir->path);
		if (fd != -1)
			close(fd);
		return -1;
	}
	result = sync_folders(pool->dir, err);
	while (result == 0 && (entry = readdir(stream)) != NULL)
		if (entry->d_name[0] != '.')
			result = adopt_or_remove(pool, entry->d_name, err);
	closedir(stream);
	return result;
}
