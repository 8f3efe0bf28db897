/* SPDX-License-Identifier: ISC */
/*
 * slowsync - a disk without a battery, for any program: LD_PRELOAD=slowsync.so
 *
 * Each call that waits for the disk (fsync, fdatasync, syncfs, sync, msync with
 * MS_SYNC, sync_file_range with a WAIT flag, a write to a descriptor with
 * O_SYNC or O_DSYNC, or with RWF_SYNC or RWF_DSYNC) takes SLOWSYNC_MS
 * milliseconds (default 5) longer.  They are slept in the calling thread after
 * the real call, so those of other threads and processes go on meanwhile, as
 * flushes do that a disk can merge.
 *
 * Not seen: io_uring, libaio, and calls that a program makes without libc.
 * Each write asks for its descriptor's flags, one system call more: measure no
 * CPU with it.
 */
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static struct timespec delay = { .tv_nsec = 5000000 };

__attribute__((constructor)) static void
read_delay(void)
{
	const char *text = getenv("SLOWSYNC_MS");
	long delay_ms;

	if (text == NULL)
		return;
	delay_ms = strtol(text, NULL, 10);
	delay.tv_sec = delay_ms / 1000;
	delay.tv_nsec = delay_ms % 1000 * 1000000;
}

/* The result of a call that waited for the disk, later. */
static long
after_delay(long result)
{
	int error = errno;
	struct timespec left = delay;

	while (nanosleep(&left, &left) == -1 && errno == EINTR)
		;
	errno = error;
	return result;
}

/* The result of a write with these flags. */
static ssize_t
written(int fd, int flags, ssize_t result)
{
	int error = errno, mode;
	bool waits = (flags & (RWF_SYNC | RWF_DSYNC)) != 0;

	if (result > 0 && !waits) {
		mode = fcntl(fd, F_GETFL);
		/* O_SYNC has the bit of O_DSYNC. */
		waits = mode != -1 && (mode & O_DSYNC) != 0;
		errno = error;
	}
	return result > 0 && waits ? after_delay(result) : result;
}

int
fsync(int fd)
{
	return (int)after_delay(syscall(SYS_fsync, fd));
}

int
fdatasync(int fd)
{
	return (int)after_delay(syscall(SYS_fdatasync, fd));
}

int
syncfs(int fd)
{
	return (int)after_delay(syscall(SYS_syncfs, fd));
}

void
sync(void)
{
	after_delay(syscall(SYS_sync));
}

int
msync(void *addr, size_t len, int flags)
{
	long result = syscall(SYS_msync, addr, len, flags);

	return (int)((flags & MS_SYNC) != 0 ? after_delay(result) : result);
}

int
sync_file_range(int fd, off64_t offset, off64_t count, unsigned int flags)
{
	long result = syscall(SYS_sync_file_range, fd, offset, count, flags);

	return (int)((flags &
			 (SYNC_FILE_RANGE_WAIT_BEFORE |
			     SYNC_FILE_RANGE_WAIT_AFTER)) != 0
		? after_delay(result)
		: result);
}

ssize_t
write(int fd, const void *buf, size_t n)
{
	return written(fd, 0, syscall(SYS_write, fd, buf, n));
}

ssize_t
writev(int fd, const struct iovec *iov, int count)
{
	return written(fd, 0, syscall(SYS_writev, fd, iov, count));
}

/* The offset is one argument of the system call, as on any 64-bit machine. */
ssize_t
pwrite(int fd, const void *buf, size_t n, off_t offset)
{
	return written(fd, 0, syscall(SYS_pwrite64, fd, buf, n, offset));
}

ssize_t
pwritev(int fd, const struct iovec *iov, int count, off_t offset)
{
	return written(fd, 0, syscall(SYS_pwritev, fd, iov, count, offset, 0));
}

ssize_t
pwritev2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
	return written(
	    fd, flags, syscall(SYS_pwritev2, fd, iov, count, offset, 0, flags));
}

/* The names that they have in programs with _FILE_OFFSET_BITS=64. */
ssize_t pwrite64(int fd, const void *buf, size_t n, off64_t offset)
    __attribute__((alias("pwrite")));
ssize_t pwritev64(int fd, const struct iovec *iov, int count, off64_t offset)
    __attribute__((alias("pwritev")));
ssize_t pwritev64v2(int fd, const struct iovec *iov, int count, off64_t offset,
    int flags) __attribute__((alias("pwritev2")));
