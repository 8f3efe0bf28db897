/* SPDX-License-Identifier: ISC */
/*
 * A disk below lock/journal.* that loses power, fails, lies and is full.  It
 * takes the place of the calls that write, sync and read in the test program;
 * other files are as ever, but their syncs do nothing.  Include after cmocka.h,
 * once.
 */
#ifndef TESTS_UNIT_JOURNAL_DISK_H
#define TESTS_UNIT_JOURNAL_DISK_H

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "queue/journal.h"

enum { DISK_SECTOR = 512, DISK_FILES = 256 };

/* A sector as the kernel sees it, which is the file, and as the disk has it. */
enum disk_sector {
	DISK_CLEAN,
	DISK_DIRTY, /* durable with the next sync */
	DISK_LOST   /* the kernel thinks that it is durable */
};

struct disk_file {
	ino_t inode; /* 0: none */
	size_t size;
	char *durable;
	unsigned char *sectors;
};

static struct {
	pthread_mutex_t lock;
	struct disk_file files[DISK_FILES];
	uint64_t seed;
	bool is_dead;        /* the process is, and does nothing more */
	unsigned dies_after; /* so many calls; 0: never */
	unsigned failing;    /* so many of the next writes and syncs */
	unsigned lying;
	bool is_full;      /* nothing new can be made */
	bool is_unsettled; /* a rename is not durable: "saved" is the old */
	char renamed[32];
	ino_t bad_inode; /* with a page that cannot be read */
	off_t bad_at;
	unsigned calls;            /* of all that change something */
	bool has_failed, has_lied; /* for the test to reset */
} disk = { .lock = PTHREAD_MUTEX_INITIALIZER, .seed = 1 };

/* With the lock, or when nobody else is there. */
static inline unsigned
disk_random(unsigned below)
{
	disk.seed = disk.seed * 6364136223846793005 + 1442695040888963407;
	return (unsigned)(disk.seed >> 33) % below;
}

/* -- which file */

static inline bool
disk_path(int fd, char path[512])
{
	char link[64];
	ssize_t length;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	length = readlink(link, path, 511);
	path[length > 0 ? length : 0] = '\0';
	return length > 0;
}

/* Is it one of the journal's?  0, or its inode. */
static inline ino_t
disk_inode(int fd)
{
	char path[512];
	struct stat st;

	return disk_path(fd, path) &&
		strstr(path, "/lock/" QUEUE_JOURNAL ".") != NULL &&
		fstat(fd, &st) == 0
	    ? st.st_ino
	    : 0;
}

static inline void
disk_forget(ino_t inode)
{
	size_t i;

	for (i = 0; i < DISK_FILES; i++)
		if (disk.files[i].inode == inode) {
			free(disk.files[i].durable);
			free(disk.files[i].sectors);
			disk.files[i] = (struct disk_file){ .inode = 0 };
		}
}

static inline void
disk_read(int fd, void *data, size_t length, off_t at)
{
	char link[64];
	int readable;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	readable = open(link, O_RDONLY | O_CLOEXEC);
	assert_int_equal(
	    syscall(SYS_pread64, readable, data, length, at), length);
	close(readable);
}

/* What is known of it; a file that is seen first is durable as it is. */
static inline struct disk_file *
disk_file(int fd, ino_t inode)
{
	struct disk_file *file = NULL;
	struct stat st;
	size_t i;

	for (i = 0; i < DISK_FILES; i++)
		if (disk.files[i].inode == inode)
			return &disk.files[i];
		else if (disk.files[i].inode == 0)
			file = &disk.files[i];
	assert_non_null(file);
	assert_int_equal(fstat(fd, &st), 0);
	file->inode = inode;
	file->size = (size_t)st.st_size;
	file->durable = malloc(file->size + 1);
	file->sectors = calloc(file->size / DISK_SECTOR + 1, 1);
	if (file->size > 0)
		disk_read(fd, file->durable, file->size, 0);
	return file;
}

/* -- calls */

/* False when this one cannot be done any more. */
static inline bool
disk_lives(void)
{
	disk.calls++;
	if (disk.dies_after > 0 && --disk.dies_after == 0)
		disk.is_dead = true;
	errno = EIO;
	return !disk.is_dead;
}

static inline void
disk_put_sector(
    struct disk_file *file, int fd, size_t at, const char *data, bool is_kept)
{
	unsigned char *sector = &file->sectors[at / DISK_SECTOR];

	if (is_kept) {
		memcpy(file->durable + at, data, DISK_SECTOR);
		*sector = DISK_CLEAN;
	}
	assert_int_equal(
	    syscall(SYS_pwrite64, fd, data, DISK_SECTOR, (off_t)at),
	    DISK_SECTOR);
}

/*
 * Some of what a write that fails should have written is there; the kernel has
 * all of it, or sees what is there.
 */
static inline void
disk_fail_write(
    struct disk_file *file, int fd, const char *data, size_t length, size_t at)
{
	bool is_cached = disk_random(2) == 0;
	size_t i;

	disk.has_failed = true;
	for (i = 0; i < length; i += DISK_SECTOR) {
		bool is_kept = disk_random(2) == 0;

		if (!is_kept && !is_cached)
			continue;
		file->sectors[(at + i) / DISK_SECTOR] = DISK_LOST;
		disk_put_sector(file, fd, at + i, data + i, is_kept);
	}
}

/* The writes of a journal are single buffers of whole pages. */
ssize_t
pwritev2(int fd, const struct iovec *data, int count, off_t offset, int flags)
{
	ino_t inode = disk_inode(fd);
	struct disk_file *file;
	size_t at = (size_t)offset, i;
	const char *from = data->iov_base;
	bool was_dead, lies;

	if (inode == 0) /* the log's */
		return syscall(SYS_pwritev2, fd, data, count, offset,
		    (long)(offset < 0 ? -1 : 0), flags);
	assert_int_equal(count, 1);
	assert_int_equal((uintptr_t)from % JOURNAL_PAGE_BYTES, 0);
	assert_int_equal(at % JOURNAL_PAGE_BYTES, 0);
	assert_int_equal(data->iov_len % JOURNAL_PAGE_BYTES, 0);
	pthread_mutex_lock(&disk.lock);
	/* The disk takes another place for it. */
	if (inode == disk.bad_inode && offset <= disk.bad_at &&
	    disk.bad_at < offset + (off_t)data->iov_len)
		disk.bad_inode = 0;
	was_dead = disk.is_dead;
	file = disk_file(fd, inode);
	assert_true(at + data->iov_len <= file->size);
	if (disk.is_dead || !disk_lives() || disk.failing > 0) {
		if (!was_dead)
			disk_fail_write(file, fd, from, data->iov_len, at);
		disk.failing -= disk.failing > 0 && !disk.is_dead;
		pthread_mutex_unlock(&disk.lock);
		errno = EIO;
		return -1;
	}
	lies = disk.lying > 0;
	disk.lying -= lies;
	disk.has_lied |= lies;
	for (i = 0; i < data->iov_len; i += DISK_SECTOR) {
		file->sectors[(at + i) / DISK_SECTOR] = lies ? DISK_LOST
							     : DISK_DIRTY;
		disk_put_sector(
		    file, fd, at + i, from + i, !lies && (flags & RWF_DSYNC));
	}
	pthread_mutex_unlock(&disk.lock);
	return (ssize_t)data->iov_len;
}

ssize_t
pread(int fd, void *data, size_t length, off_t at)
{
	off_t bad = disk.bad_at;

	if (disk.bad_inode != 0 && disk_inode(fd) == disk.bad_inode &&
	    at < bad + JOURNAL_PAGE_BYTES && at + (off_t)length > bad) {
		if (at >= bad) {
			errno = EIO;
			return -1;
		}
		length = (size_t)(bad - at);
	}
	return syscall(SYS_pread64, fd, data, length, at);
}

/* The zeros of a new segment. */
ssize_t
write(int fd, const void *data, size_t length)
{
	ino_t inode = disk_inode(fd);
	bool fails = false;

	if (inode != 0) {
		pthread_mutex_lock(&disk.lock);
		fails = !disk_lives();
		if (!fails && disk.is_full) {
			fails = true;
			errno = ENOSPC;
		}
		/* The number may be that of one that is no more. */
		disk_forget(inode);
		pthread_mutex_unlock(&disk.lock);
	}
	return fails ? -1 : syscall(SYS_write, fd, data, length);
}

static inline int
disk_sync(int fd, ino_t inode)
{
	struct disk_file *file;
	bool fails, lies;
	size_t at;

	if (!disk_lives())
		return -1;
	file = disk_file(fd, inode);
	fails = disk.failing > 0;
	lies = !fails && disk.lying > 0;
	disk.failing -= fails;
	disk.lying -= lies;
	disk.has_failed |= fails;
	disk.has_lied |= lies;
	for (at = 0; at + DISK_SECTOR <= file->size; at += DISK_SECTOR) {
		unsigned char *sector = &file->sectors[at / DISK_SECTOR];

		if (*sector != DISK_DIRTY)
			continue;
		*sector = lies || (fails && disk_random(2) == 0) ? DISK_LOST
								 : DISK_CLEAN;
		if (*sector == DISK_CLEAN)
			disk_read(
			    fd, file->durable + at, DISK_SECTOR, (off_t)at);
	}
	errno = EIO;
	return fails ? -1 : 0;
}

int
fdatasync(int fd)
{
	ino_t inode = disk_inode(fd);
	int result = 0;

	pthread_mutex_lock(&disk.lock);
	if (inode != 0)
		result = disk_sync(fd, inode);
	pthread_mutex_unlock(&disk.lock);
	return result;
}

static inline bool
disk_is_lock(int fd)
{
	char path[512];
	size_t length;

	if (!disk_path(fd, path))
		return false;
	length = strlen(path);
	return length > 5 && strcmp(path + length - 5, "/lock") == 0;
}

int
fsync(int fd)
{
	int result;

	if (!disk_is_lock(fd))
		return fdatasync(fd);
	pthread_mutex_lock(&disk.lock);
	result = disk_lives() ? 0 : -1;
	if (result == 0 && disk.is_unsettled) {
		disk.is_unsettled = false;
		unlinkat(fd, "saved", 0);
	}
	pthread_mutex_unlock(&disk.lock);
	return result;
}

/* A new segment over an old one. */
int
renameat(int from, const char *old, int to, const char *new)
{
	bool lives;

	pthread_mutex_lock(&disk.lock);
	lives = disk_lives();
	if (lives && disk_is_lock(to)) {
		unlinkat(to, "saved", 0);
		disk.is_unsettled = linkat(to, new, to, "saved", 0) == 0;
		snprintf(disk.renamed, sizeof(disk.renamed), "%s", new);
	}
	pthread_mutex_unlock(&disk.lock);
	return lives ? (int)syscall(SYS_renameat, from, old, to, new) : -1;
}

/* What is not dirty is read again from the disk, next time. */
int
posix_fadvise(int fd, off_t offset, off_t length, int advice)
{
	ino_t inode = disk_inode(fd);
	struct disk_file *file;
	int writable;
	char link[64];
	size_t at;

	(void)offset;
	(void)length;
	if (inode == 0 || advice != POSIX_FADV_DONTNEED)
		return 0;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	writable = open(link, O_RDWR | O_CLOEXEC);
	pthread_mutex_lock(&disk.lock);
	file = disk_file(fd, inode);
	for (at = 0; at + DISK_SECTOR <= file->size; at += DISK_SECTOR)
		if (file->sectors[at / DISK_SECTOR] == DISK_LOST)
			disk_put_sector(
			    file, writable, at, file->durable + at, true);
	pthread_mutex_unlock(&disk.lock);
	close(writable);
	return 0;
}

/* -- what befalls it */

/* What has no name any more. */
static inline void
disk_prune(const struct queue_dir *dir)
{
	bool has_name[DISK_FILES] = { false };
	int place;
	size_t i;

	for (place = 0; place <= JOURNAL_SEGMENTS; place++) {
		struct stat st;
		char name[32];

		snprintf(name, sizeof(name), QUEUE_JOURNAL ".%d", place);
		if (fstatat(queue_dir_fd(dir, QUEUE_LOCK, 0),
			place == JOURNAL_SEGMENTS ? "saved" : name, &st,
			0) == -1)
			continue;
		for (i = 0; i < DISK_FILES; i++)
			has_name[i] |= disk.files[i].inode == st.st_ino;
	}
	for (i = 0; i < DISK_FILES; i++)
		if (!has_name[i])
			disk_forget(disk.files[i].inode);
}

static inline void
disk_reset(void)
{
	size_t i;

	for (i = 0; i < DISK_FILES; i++)
		disk_forget(disk.files[i].inode);
	disk.is_dead = disk.is_full = disk.is_unsettled = false;
	disk.dies_after = disk.failing = disk.lying = 0;
	disk.bad_inode = 0;
	disk.seed = 1;
}

/* The power was cut: any of what was not durable is there, or not. */
static inline void
disk_cut(const struct queue_dir *dir)
{
	int lock = queue_dir_fd(dir, QUEUE_LOCK, 0), place;

	disk_prune(dir);
	for (place = 0; place < JOURNAL_SEGMENTS; place++) {
		struct disk_file *file;
		struct stat st;
		char name[32];
		size_t at;
		int fd;

		snprintf(name, sizeof(name), QUEUE_JOURNAL ".%d", place);
		if (disk.is_unsettled && strcmp(name, disk.renamed) == 0) {
			disk.is_unsettled = false;
			if (disk_random(2) == 0)
				syscall(
				    SYS_renameat, lock, "saved", lock, name);
		}
		fd = openat(lock, name, O_RDWR | O_CLOEXEC);
		if (fd == -1)
			continue;
		assert_int_equal(fstat(fd, &st), 0);
		file = disk_file(fd, st.st_ino);
		for (at = 0; at + DISK_SECTOR <= file->size; at += DISK_SECTOR)
			if (file->sectors[at / DISK_SECTOR] != DISK_CLEAN &&
			    disk_random(2) == 0)
				disk_read(fd, file->durable + at, DISK_SECTOR,
				    (off_t)at);
		assert_int_equal(syscall(SYS_pwrite64, fd, file->durable,
				     file->size, (off_t)0),
		    file->size);
		memset(file->sectors, DISK_CLEAN, file->size / DISK_SECTOR);
		close(fd);
	}
}

#endif
