/* SPDX-License-Identifier: ISC */
/* The folder of a new user, with its Maildir. */
#include "adminsrv/maildir_make.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

enum { FOLDER_MODE = 0700, REMOVE_TRIES = 5, IS_FILE = 1 };

/* Ends the walk at the first thing that is not a folder. */
static int
stop_at_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)path;
	(void)st;
	(void)ftw;
	return type == FTW_D ? 0 : IS_FILE;
}

enum admin_result
maildir_make(const char *user_dir, struct error *err)
{
	static const char *const folders[] = { "tmp", "new", "cur" };
	int found = nftw(user_dir, stop_at_file, 16, FTW_PHYS);

	if (found == IS_FILE) {
		error_set(err,
		    "'%s' has files of an earlier user: move it away, or "
		    "remove it, first",
		    user_dir);
		return ADMIN_REFUSED;
	}
	if (found == -1 && errno != ENOENT) {
		error_sys(err, "cannot look into '%s'", user_dir);
		return ADMIN_FAILED;
	}
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		char *path = xasprintf("%s/Maildir/%s", user_dir, folders[i]);
		int result = file_make_dirs(path, FOLDER_MODE, err);

		free(path);
		if (result == -1)
			return ADMIN_FAILED;
	}
	return ADMIN_OK;
}

static int
sync_folder(const char *path, struct error *err)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int result = 0;

	if (fd == -1 || fsync(fd) == -1)
		result = error_sys(err, "cannot sync folder '%s'", path);
	if (fd != -1)
		close(fd);
	return result;
}

int
maildir_sync(const char *domain_dir, const char *user_dir, struct error *err)
{
	char *path = xasprintf("%s/Maildir", user_dir);
	size_t top = strlen(domain_dir);
	int result;

	assert(strncmp(user_dir, domain_dir, top) == 0);
	/* From the inside out: nothing is named before it is there. */
	for (;;) {
		result = sync_folder(path, err);
		if (result == -1 || strlen(path) <= top)
			break;
		*strrchr(path, '/') = '\0';
	}
	free(path);
	return result;
}

int
maildir_sync_all(const char *domain_dir, struct error *err)
{
	int fd = open(domain_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int result = 0;

	if (fd == -1 || syncfs(fd) == -1)
		result = error_sys(
		    err, "cannot sync the filesystem of '%s'", domain_dir);
	if (fd != -1)
		close(fd);
	return result;
}

int
maildir_remove(const char *user_dir, struct error *err)
{
	const char *slash = strrchr(user_dir, '/');
	char *removed;
	int result;

	assert(slash != NULL && slash[1] != '\0');
	removed = xasprintf(
	    "%.*s/.removed.%s", (int)(slash - user_dir), user_dir, slash + 1);
	/* What an earlier run that was killed here may have left. */
	result = file_remove_tree(removed, err);
	if (result == 0 && rename(user_dir, removed) == -1) {
		if (errno != ENOENT)
			result = error_sys(err, "cannot rename '%s' to '%s'",
			    user_dir, removed);
		goto out;
	}
	/* A delivery under way may still put a file in: then again. */
	for (int i = 0; result == 0 && i < REMOVE_TRIES; i++) {
		result = file_remove_tree(removed, err);
		if (result == 0)
			break;
		if (errno == ENOTEMPTY && i + 1 < REMOVE_TRIES)
			result = 0;
	}
out:
	free(removed);
	return result;
}
