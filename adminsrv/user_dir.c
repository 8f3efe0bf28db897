/* SPDX-License-Identifier: ISC */
/* The folder of a new user, with its Maildir. */
#include "adminsrv/user_dir.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "control/layout.h"

static const char *const maildir_folders[] = { "tmp", "new", "cur" };

enum { IS_FILE = 1, FOLDER_COUNT = 3 };

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
user_dir_check_unused(const char *user_dir, struct error *err)
{
	int found = nftw(user_dir, stop_at_file, 16, FTW_PHYS);

	if (found == IS_FILE)
		return admin_refuse(err,
		    "'%s' has files of an earlier user: move it away, or "
		    "remove it, first",
		    user_dir);
	if (found == -1 && errno != ENOENT)
		return admin_fail(err, "cannot look into '%s'", user_dir);
	return ADMIN_OK;
}

enum admin_result
user_dir_fill(const char *user_dir, struct error *err)
{
	for (size_t i = 0; i < FOLDER_COUNT; i++) {
		OWN_TEXT path = xasprintf(
		    "%s/Maildir/%s", user_dir, maildir_folders[i]);

		if (file_make_dirs(
			path, layout_rows[LAYOUT_maildir_part].mode, err) == -1)
			return ADMIN_FAILED;
	}
	return ADMIN_OK;
}

enum admin_result
user_dir_make(const char *user_dir, struct error *err)
{
	enum admin_result result = user_dir_check_unused(user_dir, err);

	return result == ADMIN_OK ? user_dir_fill(user_dir, err) : result;
}

int
user_dir_sync(const char *domain_dir, const char *user_dir, struct error *err)
{
	OWN_TEXT path = xasprintf("%s/Maildir/new", user_dir);
	size_t top = strlen(domain_dir);

	assert(strncmp(user_dir, domain_dir, top) == 0);
	for (size_t i = 0; i < FOLDER_COUNT; i++) {
		OWN_TEXT folder = xasprintf(
		    "%s/Maildir/%s", user_dir, maildir_folders[i]);

		if (file_sync_folder(folder, err) == -1)
			return -1;
	}
	/* From the inside out: nothing is named before it is there. */
	while (strlen(path) > top) {
		if (file_sync_parent(path, err) == -1)
			return -1;
		*strrchr(path, '/') = '\0';
	}
	return 0;
}

int
user_dir_sync_all(const char *domain_dir, struct error *err)
{
	AUTO(file_close)
	int fd = open(domain_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd == -1 || syncfs(fd) == -1
	    ? error_sys(err, "cannot sync the filesystem of '%s'", domain_dir)
	    : 0;
}

int
user_dir_forget_size(const char *user_dir, struct error *err)
{
	OWN_TEXT path = xasprintf("%s/Maildir/maildirsize", user_dir);

	if (unlink(path) == -1 && errno != ENOENT)
		return error_sys(err, "cannot remove '%s'", path);
	return 0;
}

/* The Maildir of the user, at the first level, may have anything in it. */
static int
stop_at_another(
    const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	const char *name = path + ftw->base;

	(void)st;
	if (strcmp(name, layout_below(LAYOUT_domain, LAYOUT_vpasswd_lock)) == 0)
		return FTW_STOP;
	if (type != FTW_D || ftw->level == 0 || strcmp(name, "Maildir") != 0)
		return FTW_CONTINUE;
	return ftw->level == 1 ? FTW_SKIP_SUBTREE : FTW_STOP;
}

int
user_dir_holds_others(const char *user_dir, struct error *err)
{
	int found = nftw(
	    user_dir, stop_at_another, 16, FTW_PHYS | FTW_ACTIONRETVAL);

	if (found == -1 && errno != ENOENT)
		return error_sys(err, "cannot look into '%s'", user_dir);
	return found == FTW_STOP;
}

static char *
removed_dir(const char *domain_dir)
{
	return xasprintf("%s/.removed", domain_dir);
}

int
user_dir_put_aside(const char *domain_dir, const char *user_dir,
    char **aside_out, struct error *err)
{
	OWN_TEXT removed = removed_dir(domain_dir);
	const char *slash = strrchr(user_dir, '/');
	char *aside = xasprintf("%s%s", removed, slash);
	bool is_aside;

	assert(slash != NULL && slash[1] != '\0');
	*aside_out = NULL;
	is_aside = (mkdir(removed, layout_rows[LAYOUT_user].mode) == 0 ||
		       errno == EEXIST) &&
	    rename(user_dir, aside) == 0;
	if (!is_aside && errno == EXDEV) {
		free(aside);
		aside = xasprintf("%.*s/.removed.%s", (int)(slash - user_dir),
		    user_dir, slash + 1);
		/* What a killed run left there is nobody's any more. */
		if (file_remove_tree(aside, err) == -1) {
			free(aside);
			return -1;
		}
		is_aside = rename(user_dir, aside) == 0;
	}
	if (is_aside) {
		*aside_out = aside;
		return 0;
	}
	if (errno != ENOENT)
		error_sys(err, "cannot rename '%s' to '%s'", user_dir, aside);
	free(aside);
	return errno == ENOENT ? 0 : -1;
}

int
user_dir_remove(const char *domain_dir, const char *aside, struct error *err)
{
	OWN_TEXT removed = removed_dir(domain_dir);

	return file_remove_tree(aside, err) == -1
	    ? -1
	    : file_remove_tree(removed, err);
}

void
user_dir_sweep(const char *domain_dir)
{
	OWN_TEXT removed = removed_dir(domain_dir);

	/* It stays for a later run, or vdeluser's next, which says why. */
	if (file_remove_tree(removed, NULL) == -1)
		errno = 0;
}
