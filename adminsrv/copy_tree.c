/* SPDX-License-Identifier: ISC */
/* A folder copied to another filesystem. */
#include "adminsrv/copy_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

enum { COPY_BYTES = 128 * 1024, DEPTH_MAX = 64 };

/* A delivery that is under way has a file in tmp, which is not old. */
enum { LATE_YOUNG_S = 60, LATE_WAITS = 200, LATE_WAIT_US = 50000 };

static int copy_folder(const char *from, const char *to, unsigned depth,
    struct progress *progress, struct error *err);

static bool
is_dot_name(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static int
copy_bytes(int from, int to)
{
	AUTO(mem_free) char *bytes = xmalloc(COPY_BYTES);
	ssize_t n;

	while ((n = read(from, bytes, COPY_BYTES)) > 0)
		if (file_write_all(to, bytes, (size_t)n) == -1)
			return -1;
	return (int)n;
}

/* Under another name first: what has its own is whole. */
static int
copy_file(
    const char *from, const char *to, const struct stat *st, struct error *err)
{
	const struct timespec times[] = { st->st_atim, st->st_mtim };
	OWN_TEXT part = xasprintf("%s.part", to);
	AUTO(file_close)
	int in = open(from, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	AUTO(file_close) int out = -1;

	/* Read or removed by its owner meanwhile; the last look is final. */
	if (in == -1 && errno == ENOENT)
		return 0;
	if (in == -1)
		return error_sys(err, "cannot open '%s'", from);
	unlink(part);
	out = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (out == -1 || copy_bytes(in, out) == -1 ||
	    fchmod(out, st->st_mode & 07777) == -1 ||
	    futimens(out, times) == -1 || rename(part, to) == -1)
		return error_sys(err, "cannot copy '%s' to '%s'", from, to);
	return 0;
}

static int
copy_link(const char *from, const char *to, struct error *err)
{
	char target[PATH_MAX];
	ssize_t length = readlink(from, target, sizeof(target) - 1);

	if (length == -1)
		return error_sys(err, "cannot read the link '%s'", from);
	target[length] = '\0';
	unlink(to);
	return symlink(target, to) == -1
	    ? error_sys(err, "cannot make the link '%s'", to)
	    : 0;
}

static bool
is_copied(const struct stat *from, const char *to)
{
	struct stat st;

	return lstat(to, &st) == 0 && S_ISREG(st.st_mode) &&
	    st.st_size == from->st_size &&
	    st.st_mtim.tv_sec == from->st_mtim.tv_sec &&
	    st.st_mtim.tv_nsec == from->st_mtim.tv_nsec;
}

static int
copy_entry(const char *from, const char *to, unsigned depth,
    struct progress *progress, struct error *err)
{
	struct stat st;

	if (lstat(from, &st) == -1)
		return errno == ENOENT
		    ? 0
		    : error_sys(err, "cannot look at '%s'", from);
	if (S_ISDIR(st.st_mode))
		return copy_folder(from, to, depth + 1, progress, err);
	progress_add(progress, 1);
	if (S_ISLNK(st.st_mode))
		return copy_link(from, to, err);
	if (!S_ISREG(st.st_mode))
		return error_set(
		    err, "'%s' is neither a file nor a folder", from);
	return is_copied(&st, to) ? 0 : copy_file(from, to, &st, err);
}

/* What to has and from has not. */
static int
remove_others(const char *from, const char *to, struct error *err)
{
	DIR *folder = opendir(to);
	const struct dirent *entry;
	int result = 0;

	if (folder == NULL)
		return error_sys(err, "cannot open folder '%s'", to);
	while (result == 0 && (entry = readdir(folder)) != NULL) {
		OWN_TEXT old = xasprintf("%s/%s", from, entry->d_name);
		OWN_TEXT new = xasprintf("%s/%s", to, entry->d_name);
		struct stat st;

		if (!is_dot_name(entry->d_name) && lstat(old, &st) == -1 &&
		    errno == ENOENT)
			result = file_remove_tree(new, err);
	}
	closedir(folder);
	return result;
}

static int
copy_folder(const char *from, const char *to, unsigned depth,
    struct progress *progress, struct error *err)
{
	const struct dirent *entry;
	struct stat st;
	DIR *folder;
	int result = 0;

	if (depth > DEPTH_MAX)
		return error_set(err, "'%s' is too deep", from);
	if (stat(from, &st) == -1 || (mkdir(to, 0700) == -1 && errno != EEXIST))
		return error_sys(err, "cannot make folder '%s'", to);
	folder = opendir(from);
	if (folder == NULL)
		return error_sys(err, "cannot open folder '%s'", from);
	while (result == 0 && (errno = 0, entry = readdir(folder)) != NULL) {
		OWN_TEXT old = xasprintf("%s/%s", from, entry->d_name);
		OWN_TEXT new = xasprintf("%s/%s", to, entry->d_name);

		if (!is_dot_name(entry->d_name))
			result = copy_entry(old, new, depth, progress, err);
	}
	if (result == 0 && errno != 0)
		result = error_sys(err, "cannot read folder '%s'", from);
	closedir(folder);
	if (result == 0)
		result = remove_others(from, to, err);
	if (result == 0 && chmod(to, st.st_mode & 07777) == -1)
		result = error_sys(err, "cannot set the mode of '%s'", to);
	return result;
}

int
copy_tree(const char *from, const char *to, struct progress *progress,
    struct error *err)
{
	return copy_folder(from, to, 0, progress, err);
}

/* Is a delivery into the folder under way? */
static bool
is_delivered_to(const char *maildir)
{
	OWN_TEXT tmp = xasprintf("%s/tmp", maildir);
	DIR *folder = opendir(tmp);
	const struct dirent *entry;
	bool is_busy = false;

	if (folder == NULL)
		return false;
	while (!is_busy && (entry = readdir(folder)) != NULL) {
		struct stat st;

		is_busy = !is_dot_name(entry->d_name) &&
		    fstatat(dirfd(folder), entry->d_name, &st,
			AT_SYMLINK_NOFOLLOW) == 0 &&
		    time(NULL) - st.st_mtime < LATE_YOUNG_S;
	}
	closedir(folder);
	return is_busy;
}

/* Is the message there, read or not? */
static bool
has_message(const char *maildir, const char *name)
{
	OWN_TEXT new = xasprintf("%s/new/%s", maildir, name);
	OWN_TEXT cur = xasprintf("%s/cur", maildir);
	size_t length = strlen(name);
	DIR *folder = access(new, F_OK) == 0 ? NULL : opendir(cur);
	const struct dirent *entry;
	bool is_found = folder == NULL;

	while (!is_found && (entry = readdir(folder)) != NULL)
		is_found = strncmp(entry->d_name, name, length) == 0 &&
		    (entry->d_name[length] == ':' ||
			entry->d_name[length] == '\0');
	if (folder != NULL)
		closedir(folder);
	return is_found;
}

static int
copy_late_of(const char *from, const char *to, struct error *err)
{
	OWN_TEXT new = xasprintf("%s/new", from);
	const struct dirent *entry;
	DIR *folder;
	int result = 0;

	for (int i = 0; i < LATE_WAITS && is_delivered_to(from); i++)
		usleep(LATE_WAIT_US);
	folder = opendir(new);
	if (folder == NULL)
		return 0; /* no Maildir's folder */
	while (result == 0 && (entry = readdir(folder)) != NULL) {
		OWN_TEXT source = xasprintf("%s/%s", new, entry->d_name);
		OWN_TEXT target = xasprintf("%s/new/%s", to, entry->d_name);
		struct stat st;

		if (lstat(source, &st) == 0 && S_ISREG(st.st_mode) &&
		    !has_message(to, entry->d_name) &&
		    (result = copy_file(source, target, &st, err)) == 0)
			result = file_sync_parent(target, err);
	}
	closedir(folder);
	return result;
}

int
copy_late_mail(const char *from, const char *to, struct error *err)
{
	DIR *folder = opendir(from);
	const struct dirent *entry;
	int result = copy_late_of(from, to, err);

	while (folder != NULL && result == 0 &&
	    (entry = readdir(folder)) != NULL) {
		OWN_TEXT old = xasprintf("%s/%s", from, entry->d_name);
		OWN_TEXT new = xasprintf("%s/%s", to, entry->d_name);

		if (*entry->d_name == '.' && !is_dot_name(entry->d_name))
			result = copy_late_of(old, new, err);
	}
	if (folder != NULL)
		closedir(folder);
	return result;
}
