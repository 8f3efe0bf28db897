/* SPDX-License-Identifier: ISC */
/* One message on its way into a Maildir. */
#include "mailbox/maildir_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

enum {
	NEW_NAME_SIZE = MAILDIR_NAME_SIZE + 24,
	CREATE_TRIES = 5 /* others may come and go between two steps */
};

static bool
is_same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static bool
is_plain_file(const struct stat *st)
{
	return S_ISREG(st->st_mode) && st->st_uid == geteuid() &&
	    st->st_nlink == 1;
}

/*
 * Takes over what a delivery that was killed has left.  A descriptor; or -1
 * with errno: EWOULDBLOCK when it is still being written, ESTALE when the name
 * is free again, or was.
 */
static int
take_over(int tmp_fd, const char *name)
{
	struct stat at_name, opened;
	int fd;

	if (fstatat(tmp_fd, name, &at_name, AT_SYMLINK_NOFOLLOW) == -1) {
		if (errno == ENOENT)
			errno = ESTALE;
		return -1;
	}
	if (!is_plain_file(&at_name)) {
		if (unlinkat(tmp_fd, name, 0) == 0)
			errno = ESTALE;
		return -1;
	}
	fd = openat(
	    tmp_fd, name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd == -1) {
		if (errno == ENOENT)
			errno = ESTALE;
		return -1;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
		/* Now nobody else's: if it still has the name. */
		if (fstat(fd, &opened) == 0 &&
		    fstatat(tmp_fd, name, &at_name, AT_SYMLINK_NOFOLLOW) == 0 &&
		    is_same_file(&opened, &at_name) && is_plain_file(&opened) &&
		    ftruncate(fd, 0) == 0)
			return fd;
		errno = ESTALE;
	}
	file_close(&fd);
	return -1;
}

/* A new file, locked; or -1 with errno as of take_over(). */
static int
create_new(int tmp_fd, const char *name)
{
	int fd = openat(tmp_fd, name,
	    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd == -1 || flock(fd, LOCK_EX | LOCK_NB) == 0)
		return fd;
	/* Somebody took it over already. */
	file_close(&fd);
	return -1;
}

int
maildir_file_create(struct maildir_file *file, struct maildir *maildir,
    const char *name, struct error *err)
{
	int tries = 0;

	file->maildir = maildir;
	snprintf(file->name, sizeof(file->name), "%s", name);
	file->place = MAILDIR_NOWHERE;
	file->size_bytes = 0;
	file->is_synced = file->has_replaced = false;
	do {
		file->fd = create_new(maildir->tmp_fd, file->name);
		if (file->fd == -1 && errno == EEXIST)
			file->fd = take_over(maildir->tmp_fd, file->name);
	} while (file->fd == -1 && errno == ESTALE && ++tries < CREATE_TRIES);
	if (file->fd == -1 && errno == EWOULDBLOCK) {
		error_set(err,
		    "another delivery of this message is under way: 'tmp/%s'",
		    file->name);
		errno = EWOULDBLOCK;
		return -1;
	}
	if (file->fd == -1)
		return error_sys(err, "cannot create 'tmp/%s'", file->name);
	file->place = MAILDIR_TMP;
	return 0;
}

int
maildir_file_add(struct maildir_file *file, const struct iovec *added,
    int part_count, struct error *err)
{
	struct iovec parts[MAILDIR_PARTS_MAX];
	struct iovec *part = parts;
	int left = part_count;

	assert(left <= MAILDIR_PARTS_MAX);
	memcpy(parts, added, (size_t)left * sizeof(*parts));
	while (left > 0) {
		ssize_t n = writev(file->fd, part, left);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return error_sys(err, "cannot write to 'tmp'");
		file->size_bytes += (uint64_t)n;
		/* A short write (a disk filling up) goes on until it fails. */
		for (; left > 0 && (size_t)n >= part->iov_len; left--, part++)
			n -= (ssize_t)part->iov_len;
		if (left > 0) {
			part->iov_base = (char *)part->iov_base + n;
			part->iov_len -= (size_t)n;
		}
	}
	return 0;
}

int
maildir_file_flush(struct maildir_file *file, struct error *err)
{
	if (sync_file_range(file->fd, 0, 0,
		SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
		    SYNC_FILE_RANGE_WAIT_AFTER) == -1)
		return error_sys(err, "cannot write to 'tmp'");
	return 0;
}

int
maildir_file_sync(struct maildir_file *file, struct error *err)
{
	if (fdatasync(file->fd) == -1)
		return error_sys(err, "cannot sync 'tmp' file");
	file->is_synced = true;
	return 0;
}

/* The size in the name spares the quota a stat (Maildir++). */
static void
name_in_new(const char *name, uint64_t size_bytes, char out[NEW_NAME_SIZE])
{
	snprintf(out, NEW_NAME_SIZE, "%s,S=%llu", name,
	    (unsigned long long)size_bytes);
}

bool
maildir_is_in_new(
    const struct maildir *maildir, const char *name, uint64_t size_bytes)
{
	char new_name[NEW_NAME_SIZE];

	name_in_new(name, size_bytes, new_name);
	return faccessat(
		   maildir->new_fd, new_name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/*
 * First without replacing anything, to know; not every filesystem can promise
 * that.
 */
static int
rename_to(const struct maildir *maildir, const char *name, const char *new_name,
    bool *has_replaced_out)
{
	*has_replaced_out = false;
	if (renameat2(maildir->tmp_fd, name, maildir->new_fd, new_name,
		RENAME_NOREPLACE) == 0)
		return 0;
	if (errno == EEXIST)
		*has_replaced_out = true;
	else if (errno == EINVAL || errno == ENOSYS)
		*has_replaced_out = faccessat(maildir->new_fd, new_name, F_OK,
					AT_SYMLINK_NOFOLLOW) == 0;
	else
		return -1;
	return renameat(maildir->tmp_fd, name, maildir->new_fd, new_name);
}

int
maildir_file_publish(struct maildir_file *file, struct error *err)
{
	char new_name[NEW_NAME_SIZE];

	name_in_new(file->name, file->size_bytes, new_name);
	if (rename_to(
		file->maildir, file->name, new_name, &file->has_replaced) == -1)
		return error_sys(err, "cannot rename from 'tmp' to 'new'");
	file->place = MAILDIR_NEW;
	file_close(&file->fd);
	return 0;
}

void
maildir_file_discard(struct maildir_file *file)
{
	char new_name[NEW_NAME_SIZE];
	int saved_errno = errno;

	switch (file->place) {
	case MAILDIR_NOWHERE:
		break;
	case MAILDIR_TMP:
		unlinkat(file->maildir->tmp_fd, file->name, 0);
		file_close(&file->fd);
		break;
	case MAILDIR_NEW:
		name_in_new(file->name, file->size_bytes, new_name);
		unlinkat(file->maildir->new_fd, new_name, 0);
		break;
	}
	file->place = MAILDIR_NOWHERE;
	errno = saved_errno;
}
