/* SPDX-License-Identifier: ISC */
/* One Maildir: its folders, opened or made, and unique names in them. */
#include "mailbox/maildir.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "control/layout.h"

enum { OPEN_FOLDER = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC };

static int
sync_folder(int fd, const char *name, struct error *err)
{
	if (fsync(fd) == -1)
		return error_sys(err, "cannot sync folder '%s'", name);
	return 0;
}

/*
 * Opens a folder, which is made first if missing: *is_made_out says so.  It is
 * synced itself then, which a filesystem without a journal needs; its name
 * becomes durable with its parent.
 */
static int
open_or_make(int parent_fd, const char *name, enum layout_id id,
    bool *is_made_out, struct error *err)
{
	int fd = openat(parent_fd, name, OPEN_FOLDER);
	bool is_missing = fd == -1 && errno == ENOENT;

	if (is_missing) {
		if (mkdirat(parent_fd, name, layout_rows[id].mode) == -1 &&
		    errno != EEXIST)
			return error_sys(err, "cannot make folder '%s'", name);
		*is_made_out = true;
		fd = openat(parent_fd, name, OPEN_FOLDER);
	}
	if (fd == -1)
		return error_sys(err, "cannot open folder '%s'", name);
	if (is_missing && sync_folder(fd, name, err) == -1)
		file_close(&fd);
	return fd;
}

static int
open_parts(
    int parent_fd, const char *name, struct maildir *maildir, struct error *err)
{
	bool is_dir_made = false, is_part_made = false;
	struct stat st;
	AUTO(file_close) int cur_fd = -1;

	maildir->dir_fd = open_or_make(
	    parent_fd, name, LAYOUT_maildir, &is_dir_made, err);
	if (maildir->dir_fd == -1)
		return -1;
	maildir->tmp_fd = open_or_make(
	    maildir->dir_fd, "tmp", LAYOUT_maildir_part, &is_part_made, err);
	if (maildir->tmp_fd == -1)
		return -1;
	maildir->new_fd = open_or_make(
	    maildir->dir_fd, "new", LAYOUT_maildir_part, &is_part_made, err);
	if (maildir->new_fd == -1)
		return -1;
	/* Nothing is delivered to cur, but its readers expect it. */
	cur_fd = open_or_make(
	    maildir->dir_fd, "cur", LAYOUT_maildir_part, &is_part_made, err);
	if (cur_fd == -1)
		return -1;
	if (fstat(maildir->tmp_fd, &st) == -1)
		return error_sys(err, "cannot stat folder 'tmp'");
	maildir->dev = st.st_dev;
	if (is_part_made && sync_folder(maildir->dir_fd, name, err) == -1)
		return -1;
	if (is_dir_made && sync_folder(parent_fd, ".", err) == -1)
		return -1;
	return 0;
}

int
maildir_open(int parent_fd, const char *name, struct maildir *maildir_out,
    struct error *err)
{
	*maildir_out = (struct maildir)MAILDIR_INIT;
	if (open_parts(parent_fd, name, maildir_out, err) == 0)
		return 0;
	maildir_release(maildir_out);
	return -1;
}

void
maildir_context(const struct maildir *maildir, struct error *err)
{
	int saved_errno = errno;
	char link[64], path[PATH_MAX];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", maildir->dir_fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n > 0)
		error_context(err, "Maildir '%.*s'", (int)n, path);
	errno = saved_errno;
}

void
maildir_release(struct maildir *maildir)
{
	file_close(&maildir->dir_fd);
	file_close(&maildir->tmp_fd);
	file_close(&maildir->new_fd);
	*maildir = (struct maildir)MAILDIR_INIT;
}

/* The next component of *path into name; false at an unfit one. */
static bool
next_component(const char **path, char name[NAME_MAX + 1])
{
	size_t length = strcspn(*path, "/");

	if (length == 0 || length > NAME_MAX)
		return false;
	memcpy(name, *path, length);
	name[length] = '\0';
	*path += length;
	if (**path == '/')
		(*path)++;
	return strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

int
maildir_open_beneath(int root_fd, const char *path)
{
	char name[NAME_MAX + 1];
	int fd = root_fd;

	do {
		int parent_fd = fd;

		fd = -1;
		errno = EINVAL;
		if (next_component(&path, name))
			fd = openat(parent_fd, name, OPEN_FOLDER);
		if (parent_fd != root_fd)
			file_close(&parent_fd);
	} while (fd != -1 && *path != '\0');
	return fd;
}

void
maildir_escape(const char *name, char *out, size_t size)
{
	size_t used = 0;

	for (size_t i = 0; name[i] != '\0' && used + 5 < size; i++) {
		if (strchr("/:,", name[i]) == NULL)
			out[used++] = name[i];
		else
			used += (size_t)snprintf(
			    out + used, 5, "\\%03o", (unsigned)name[i]);
	}
	out[used] = '\0';
}

void
maildir_host(char out[MAILDIR_HOST_SIZE])
{
	char name[HOST_NAME_MAX + 1];

	if (gethostname(name, sizeof(name)) == -1)
		snprintf(name, sizeof(name), "localhost");
	name[sizeof(name) - 1] = '\0';
	maildir_escape(name, out, MAILDIR_HOST_SIZE);
}

void
maildir_make_name(char out[MAILDIR_NAME_SIZE], const char *host)
{
	static atomic_ulong counter;
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	snprintf(out, MAILDIR_NAME_SIZE, "%lld.M%06ldP%ldQ%lu.%.*s",
	    (long long)now.tv_sec, now.tv_nsec / 1000, (long)getpid(),
	    atomic_fetch_add(&counter, 1) + 1, MAILDIR_HOST_SIZE, host);
}
