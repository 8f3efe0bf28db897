/* SPDX-License-Identifier: ISC */
/* Whole files and folders. */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/scan.h"

enum { REMOVE_TRIES = 5 };

int
file_read(const char *path, size_t max, struct buf *buf, struct error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t start = buf->length;
	int result = 0;

	if (fd == -1 && errno == ENOENT)
		return 0;
	if (fd == -1)
		return error_sys(err, "cannot open '%s'", path);
	while (result == 0) {
		ssize_t n;

		buf_reserve(buf, 8192);
		n = read(fd, buf->data + buf->length, 8192);
		if (n == 0)
			result = 1;
		else if (n == -1 && errno != EINTR)
			result = error_sys(err, "cannot read '%s'", path);
		else if (n > 0)
			buf->length += (size_t)n;
		buf->data[buf->length] = '\0';
		if (buf->length - start > max)
			result = error_set(
			    err, "'%s' is larger than %zu bytes", path, max);
	}
	close(fd);
	return result;
}

int
file_write_all(int fd, const char *data, size_t length)
{
	while (length > 0) {
		ssize_t n = write(fd, data, length);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return -1;
		data += n;
		length -= (size_t)n;
	}
	return 0;
}

int
file_copy_unnamed(int from)
{
	FILE *file = tmpfile();
	char chunk[65536];
	ssize_t n;

	if (file == NULL)
		return -1;
	while ((n = read(from, chunk, sizeof(chunk))) != 0) {
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 ||
		    file_write_all(fileno(file), chunk, (size_t)n) == -1)
			return -1;
	}
	return fileno(file);
}

int
file_sync_folder(const char *path, struct error *err)
{
	AUTO(file_close)
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd == -1 || fsync(fd) == -1
	    ? error_sys(err, "cannot sync folder '%s'", path)
	    : 0;
}

int
file_sync_parent(const char *path, struct error *err)
{
	const char *slash = strrchr(path, '/');
	OWN_TEXT parent = slash == NULL ? xstrdup(".")
	    : slash == path             ? xstrdup("/")
			    : xstrndup(path, (size_t)(slash - path));

	return file_sync_folder(parent, err);
}

int
file_begin(const char *path, char **temporary_out, struct error *err)
{
	char *temporary = xasprintf("%s.tmp.%ld", path, (long)getpid());
	int fd;

	/* Not what a killed process of this number left: others may have it. */
	unlink(temporary);
	fd = open(temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd == -1) {
		error_sys(err, "cannot create '%s'", temporary);
		free(temporary);
	} else
		*temporary_out = temporary;
	return fd;
}

void
file_abort(int fd, char *temporary)
{
	int saved_errno = errno;

	close(fd);
	unlink(temporary);
	free(temporary);
	errno = saved_errno;
}

int
file_commit(
    int fd, char *temporary, const char *path, mode_t mode, struct error *err)
{
	struct stat old;
	bool has_old = stat(path, &old) == 0;
	int result = 0;

	/* An owner that we may not set stays ours: not worth a failure. */
	if (has_old && fchown(fd, old.st_uid, old.st_gid) == -1)
		errno = 0;
	if (fchmod(fd, has_old ? old.st_mode & 07777 : mode) == -1 ||
	    fsync(fd) == -1)
		result = error_sys(err, "cannot write '%s'", temporary);
	else if (rename(temporary, path) == -1)
		result = error_sys(
		    err, "cannot rename '%s' to '%s'", temporary, path);
	file_abort(fd, temporary); /* a name that is gone, if it succeeded */
	return result == -1 ? -1 : file_sync_parent(path, err);
}

int
file_replace(const char *path, const char *data, size_t length, mode_t mode,
    struct error *err)
{
	char *temporary;
	int fd = file_begin(path, &temporary, err);

	if (fd == -1)
		return -1;
	if (file_write_all(fd, data, length) == 0)
		return file_commit(fd, temporary, path, mode, err);
	error_sys(err, "cannot write '%s'", temporary);
	file_abort(fd, temporary);
	return -1;
}

int
file_make_dirs(const char *path, mode_t mode, struct error *err)
{
	OWN_TEXT copy = xstrdup(path);
	char *slash = copy;

	/* Mostly those above it are there. */
	if (mkdir(path, mode) == 0)
		return chmod(path, mode) == -1
		    ? error_sys(err, "cannot make folder '%s'", path)
		    : 0;
	for (;;) {
		slash = strchr(slash + 1, '/');
		if (slash != NULL)
			*slash = '\0';
		if (mkdir(copy, mode) == 0 ? chmod(copy, mode) == -1
					   : errno != EEXIST)
			return error_sys(err, "cannot make folder '%s'", copy);
		if (slash == NULL)
			return 0;
		*slash = '/';
	}
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

int
file_remove_tree(const char *path, struct error *err)
{
	for (int i = 0; i < REMOVE_TRIES; i++) {
		if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0 ||
		    errno == ENOENT)
			return 0;
		if (errno != ENOTEMPTY)
			break;
	}
	return error_sys(err, "cannot remove '%s'", path);
}

void
file_close(int *fd)
{
	int saved_errno = errno;

	if (*fd != -1)
		close(*fd);
	*fd = -1;
	errno = saved_errno;
}

char *
file_program_dir(void)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	char *slash;

	if (n <= 0)
		return xstrdup(PREFIX "/sbin");
	path[n] = '\0';
	slash = strrchr(path, '/');
	if (slash != NULL)
		*slash = '\0';
	return xstrdup(path);
}

static bool
is_left_behind(const char *name)
{
	const char *suffix = strstr(name, ".tmp.");
	uint64_t pid;

	return suffix != NULL && scan_u64(suffix + 5, INT_MAX, &pid) &&
	    pid > 0 && kill((pid_t)pid, 0) == -1 && errno == ESRCH;
}

int
file_sweep(const char *folder, struct error *err)
{
	DIR *dir = opendir(folder);
	const struct dirent *entry;
	int count = 0;

	if (dir == NULL)
		return error_sys(err, "cannot read folder '%s'", folder);
	while (count != -1 && (entry = readdir(dir)) != NULL) {
		if (!is_left_behind(entry->d_name))
			continue;
		if (unlinkat(dirfd(dir), entry->d_name, 0) == 0)
			count++;
		else if (errno != ENOENT)
			count = error_sys(err, "cannot remove '%s/%s'", folder,
			    entry->d_name);
	}
	closedir(dir);
	return count;
}
