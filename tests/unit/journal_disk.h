/* SPDX-License-Identifier: ISC */
/*
 * A disk below lock/journal that loses power, and fails to write and to sync.
 * It takes the place of pwrite(), pread(), fsync() and fdatasync() in the test
 * program; other files are written, and their syncs do nothing.  Include after
 * cmocka.h, once.
 */
#ifndef TESTS_UNIT_JOURNAL_DISK_H
#define TESTS_UNIT_JOURNAL_DISK_H

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "queue/journal.h"
#include "tests/unit/queue_folder.h"

enum {
	DISK_BYTES = JOURNAL_HALVES * JOURNAL_HALF_BYTES,
	DISK_SECTOR = 512,
	DISK_PAGE = 4096 /* what the kernel writes at once */
};

/* The file itself is what the kernel has in memory. */
static struct {
	ino_t inode; /* of lock/journal; or 0 */
	char durable[DISK_BYTES];
	bool is_dirty[DISK_BYTES / DISK_PAGE];
	bool is_lost[DISK_BYTES / DISK_PAGE]; /* clean, and not durable */
	bool is_dead; /* the process is, and writes nothing more */
	unsigned failing_writes, failing_syncs; /* so many of the next ones */
	unsigned good_syncs;                    /* before those that fail */
	atomic_uint good_files; /* syncs of others until one fails; or 0 */
	uint64_t seed;
} disk;

/* Nothing is done here before disk_watch(). */
static inline void
disk_reset(void)
{
	disk.inode = 0;
	disk.is_dead = false;
	disk.failing_writes = disk.failing_syncs = disk.good_syncs = 0;
	disk.good_files = 0;
	disk.seed = 1;
}

static unsigned
disk_random(unsigned below)
{
	disk.seed = disk.seed * 6364136223846793005 + 1442695040888963407;
	return (unsigned)(disk.seed >> 33) % below;
}

static bool
disk_has(int fd)
{
	struct stat st;

	return disk.inode != 0 && fstat(fd, &st) == 0 &&
	    st.st_ino == disk.inode;
}

/* All of it, at the offset; true when it could. */
static bool
disk_write(int fd, const void *data, size_t length, off_t offset)
{
	return syscall(SYS_pwrite64, fd, data, length, offset) == (long)length;
}

static inline void
disk_read(int fd, char *data, size_t length, off_t offset)
{
	assert_int_equal(
	    syscall(SYS_pread64, fd, data, length, offset), length);
}

ssize_t
pwrite(int fd, const void *data, size_t length, off_t offset)
{
	size_t page, wanted = length;

	if (!disk_has(fd))
		return syscall(SYS_pwrite64, fd, data, length, offset);
	if (disk.is_dead || disk.failing_writes > 0) {
		disk.failing_writes -= !disk.is_dead;
		wanted = disk.is_dead ? 0 : length / 2;
	}
	if (wanted > 0 && !disk_write(fd, data, wanted, offset))
		return -1;
	for (page = (size_t)offset / DISK_PAGE;
	     page * DISK_PAGE < (size_t)offset + wanted; page++) {
		disk.is_dirty[page] = true;
		disk.is_lost[page] = false;
	}
	errno = EIO;
	return wanted == length ? (ssize_t)length : -1;
}

ssize_t
pread(int fd, void *data, size_t length, off_t offset)
{
	if (disk.is_dead && disk_has(fd)) {
		errno = EIO;
		return -1;
	}
	return syscall(SYS_pread64, fd, data, length, offset);
}

int
fsync(int fd)
{
	(void)fd;
	return 0;
}

/* One that fails has written some, and the next will not try again. */
int
fdatasync(int fd)
{
	size_t at, page;
	bool fails;

	if (!disk_has(fd)) {
		if (disk.good_files == 0 || --disk.good_files > 0)
			return 0;
		errno = EIO;
		return -1;
	}
	fails = disk.failing_syncs > 0 && disk.good_syncs == 0;
	disk.failing_syncs -= fails;
	disk.good_syncs -= disk.good_syncs > 0;
	fails |= disk.is_dead;
	for (at = 0; !disk.is_dead && at < DISK_BYTES; at += DISK_SECTOR) {
		page = at / DISK_PAGE;
		if (!disk.is_dirty[page] || (fails && disk_random(2) == 0))
			continue;
		disk_read(fd, disk.durable + at, DISK_SECTOR, (off_t)at);
	}
	for (page = 0; !disk.is_dead && page < DISK_BYTES / DISK_PAGE; page++)
		if (disk.is_dirty[page]) {
			disk.is_dirty[page] = false;
			disk.is_lost[page] = fails;
		}
	errno = EIO;
	return fails ? -1 : 0;
}

static inline int
disk_open(const struct queue_dir *dir)
{
	int fd = openat(queue_dir_fd(dir, QUEUE_LOCK, 0), QUEUE_JOURNAL,
	    O_RDWR | O_CLOEXEC);

	assert_int_not_equal(fd, -1);
	return fd;
}

/* The journal as it is now is on this disk, all durable. */
static inline void
disk_watch(const struct queue_dir *dir)
{
	int fd = disk_open(dir);
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	if (st.st_ino != disk.inode) {
		disk.inode = st.st_ino;
		disk_read(fd, disk.durable, DISK_BYTES, 0);
		memset(disk.is_dirty, 0, sizeof(disk.is_dirty));
		memset(disk.is_lost, 0, sizeof(disk.is_lost));
	}
	close(fd);
}

/*
 * The power was cut: the file is what was durable, with any of the sectors that
 * were written later.
 */
static inline void
disk_cut(const struct queue_dir *dir)
{
	int fd = disk_open(dir);
	size_t at;

	for (at = 0; at < DISK_BYTES; at += DISK_SECTOR)
		if (disk.is_dirty[at / DISK_PAGE] && disk_random(2) == 0)
			disk_read(
			    fd, disk.durable + at, DISK_SECTOR, (off_t)at);
	assert_true(disk_write(fd, disk.durable, DISK_BYTES, 0));
	memset(disk.is_dirty, 0, sizeof(disk.is_dirty));
	memset(disk.is_lost, 0, sizeof(disk.is_lost));
	close(fd);
}

/* The kernel drops pages that it takes for written, and reads them again. */
static inline void
disk_drop_pages(const struct queue_dir *dir)
{
	int fd = disk_open(dir);
	size_t page;

	for (page = 0; page < DISK_BYTES / DISK_PAGE; page++)
		if (disk.is_lost[page] && disk_random(2) == 0) {
			assert_true(
			    disk_write(fd, disk.durable + page * DISK_PAGE,
				DISK_PAGE, (off_t)(page * DISK_PAGE)));
			disk.is_lost[page] = false;
		}
	close(fd);
}

/* The process is killed: nothing that it does in here is seen. */
static inline void
disk_kill(struct journal **journal)
{
	disk.is_dead = true;
	journal_close(journal);
	disk.is_dead = false;
}

/* journal_open(), after which all is durable. */
static inline struct journal *
disk_open_journal(const struct queue_dir *dir)
{
	struct error err = { "" };
	struct journal *journal;

	if (journal_open(dir, true, &journal, &err) == -1 || journal == NULL)
		fail_msg("%s", err.text);
	disk_watch(dir);
	return journal;
}

#endif
