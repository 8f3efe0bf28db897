/* SPDX-License-Identifier: ISC */
/* What a Maildir holds, found by looking at every message. */
#include "mailbox/quota_scan.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/scan.h"

/* Larger sizes in names are not believed, so that sums never overflow. */
static const uint64_t NAMED_SIZE_MAX = (uint64_t)1 << 40;

/* The size that a message's name gives. */
static bool
size_from_name(const char *name, uint64_t *size_out)
{
	const char *field = strstr(name, ",S=");

	if (field == NULL)
		return false;
	field += 3;
	return scan_u64n(field, strcspn(field, ",:"), NAMED_SIZE_MAX, size_out);
}

/* Flagged for removal: NAME:2,FLAGS with a T. */
static bool
is_trashed(const char *name)
{
	const char *flags = strstr(name, ":2,");

	return flags != NULL && strchr(flags + 3, 'T') != NULL;
}

/* Opens a folder for reading; *dir_out is NULL when it is gone, or none. */
static int
open_dir(int parent_fd, const char *name, DIR **dir_out, struct error *err)
{
	int fd = openat(
	    parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	*dir_out = NULL;
	if (fd == -1 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
		return 0;
	if (fd == -1)
		return error_sys(err, "cannot open folder '%s'", name);
	*dir_out = fdopendir(fd);
	if (*dir_out == NULL) {
		error_sys(err, "cannot read folder '%s'", name);
		close(fd);
		return -1;
	}
	return 0;
}

/* The next entry; NULL at the end (errno 0) or on failure. */
static const struct dirent *
next_entry(DIR *dir)
{
	errno = 0;
	return readdir(dir);
}

static int
add_message(
    int dir_fd, const char *name, struct quota_usage *usage, struct error *err)
{
	struct stat st;
	uint64_t size;

	if (!size_from_name(name, &size)) {
		if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == -1)
			return errno == ENOENT
			    ? 0 /* removed or renamed by its reader */
			    : error_sys(err, "cannot stat '%s'", name);
		size = (uint64_t)st.st_size;
	}
	usage->bytes += (int64_t)size;
	usage->count++;
	return 0;
}

static int
scan_messages(int folder_fd, const char *name, struct quota_usage *usage,
    struct error *err)
{
	const struct dirent *entry;
	int result = 0;
	DIR *dir;

	if (open_dir(folder_fd, name, &dir, err) == -1)
		return -1;
	if (dir == NULL)
		return 0;
	while (result == 0 && (entry = next_entry(dir)) != NULL)
		if (entry->d_name[0] != '.' && !is_trashed(entry->d_name))
			result = add_message(
			    dirfd(dir), entry->d_name, usage, err);
	if (result == 0 && errno != 0)
		result = error_sys(err, "cannot read folder '%s'", name);
	closedir(dir);
	return result;
}

/* new and cur of the folder that dir is. */
static int
scan_folder(int folder_fd, struct quota_usage *usage, struct error *err)
{
	if (scan_messages(folder_fd, "new", usage, err) == -1)
		return -1;
	return scan_messages(folder_fd, "cur", usage, err);
}

static bool
is_counted_folder(const char *name)
{
	if (name[0] != '.' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return false;
	return strcmp(name, ".Trash") != 0 || getenv("INCLUDE_TRASH") != NULL;
}

int
quota_scan(int maildir_fd, struct quota_usage *usage_out, struct error *err)
{
	const struct dirent *entry;
	int result = 0;
	DIR *dir;

	*usage_out = (struct quota_usage){ 0 };
	if (scan_folder(maildir_fd, usage_out, err) == -1 ||
	    open_dir(maildir_fd, ".", &dir, err) == -1)
		return -1;
	while (
	    result == 0 && dir != NULL && (entry = next_entry(dir)) != NULL) {
		DIR *folder;

		if (!is_counted_folder(entry->d_name))
			continue;
		result = open_dir(maildir_fd, entry->d_name, &folder, err);
		if (result == -1 || folder == NULL)
			continue;
		result = scan_folder(dirfd(folder), usage_out, err);
		closedir(folder);
	}
	if (result == 0 && dir != NULL && errno != 0)
		result = error_sys(err, "cannot read the Maildir");
	if (dir != NULL)
		closedir(dir);
	return result;
}
