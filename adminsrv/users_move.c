/* SPDX-License-Identifier: ISC */
/* Users of a domain: other names, folders and quotas. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adminsrv/copy_tree.h"
#include "adminsrv/dirhash.h"
#include "adminsrv/homes.h"
#include "adminsrv/names.h"
#include "adminsrv/progress.h"
#include "adminsrv/user_dir.h"
#include "adminsrv/users.h"
#include "adminsrv/users_backend.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"

/* In a folder that was copied: where the old one waits to be removed. */
static const char note_name[] = ".moved-from";

enum { NOTE_BYTES_MAX = 4096 };

static bool
is_folder(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Without the slashes at its end. */
static char *
plain_dir(const char *dir)
{
	size_t length = strlen(dir);

	while (length > 1 && dir[length - 1] == '/')
		length--;
	return xstrndup(dir, length);
}

/* Where the folder goes: beside, if it has the user's name; else it stays. */
static char *
renamed_dir(const char *dir, const char *name, const char *new_name)
{
	const char *slash = strrchr(dir, '/');
	OWN_TEXT own = xasprintf("%s%s", name, dirhash_suffix(name));

	return slash == NULL || strcmp(slash + 1, own) != 0
	    ? xstrdup(dir)
	    : xasprintf("%.*s/%s%s", (int)(slash - dir), dir, new_name,
		  dirhash_suffix(new_name));
}

/* Makes a rename durable in both folders. */
static int
sync_both(const char *from, const char *to, struct error *err)
{
	return file_sync_parent(to, err) == -1 ? -1
					       : file_sync_parent(from, err);
}

/*
 * Renames a folder, unless a killed run has.  What is in the way, and no
 * earlier part of this, is refused.
 */
static enum admin_result
rename_dir(
    const char *from, const char *to, bool *is_moved_out, struct error *err)
{
	bool is_there = is_folder(from);

	*is_moved_out = false;
	if (strcmp(from, to) == 0)
		return ADMIN_OK;
	if (is_there && access(to, F_OK) == 0)
		return admin_refuse(err,
		    "'%s' is there already: move it away, or remove it, first",
		    to);
	if (is_there && rename(from, to) == -1)
		return admin_fail(err, "cannot rename '%s' to '%s'", from, to);
	*is_moved_out = is_there;
	return admin_result_of(sync_both(from, to, err));
}

static enum admin_result
rename_user(struct users *users, const struct vpasswd_entry *old,
    const char *new_name, const char *dir, const char *new_dir,
    struct error *err)
{
	struct vpasswd_entry entry = *old;
	enum admin_result result;
	bool is_moved;

	entry.name = new_name;
	entry.dir = new_dir;
	result = rename_dir(dir, new_dir, &is_moved, err);
	if (result != ADMIN_OK)
		return result;
	result = users->backend->rename(users, old->name, &entry, err);
	if (result != ADMIN_OK && is_moved && rename(new_dir, dir) == -1)
		error_context(err, "the mail is in '%s' now", new_dir);
	return result;
}

enum admin_result
users_rename(struct users *users, const char *name, const char *new_name,
    struct error *err)
{
	OWN_TEXT dir = NULL;
	OWN_TEXT new_dir = NULL;
	const struct vpasswd_entry *old, *other;
	enum admin_result result = users_find(users, name, &old, err);
	int is_own;

	if (result != ADMIN_OK)
		return result;
	result = users_find(users, new_name, &other, err);
	if (result == ADMIN_OK)
		return admin_refuse(err, "user '%s' exists already", new_name);
	if (result != ADMIN_REFUSED)
		return result;
	if (names_check_new_user(new_name, err) == -1)
		return ADMIN_REFUSED;
	result = users_refuse_moving(users, name, err);
	if (result == ADMIN_OK)
		result = users_refuse_elsewhere(users, name, err);
	if (result != ADMIN_OK)
		return result;
	dir = plain_dir(old->dir);
	is_own = users_is_dir_own(users, name, dir, err);
	if (is_own == -1)
		return ADMIN_FAILED;
	new_dir = is_own ? renamed_dir(dir, name, new_name) : xstrdup(dir);
	return rename_user(users, old, new_name, dir, new_dir, err);
}

/* dir, quota: another one; or NULL, as it is. */
static enum admin_result
put_fields(struct users *users, const char *name, const char *dir,
    const char *quota, struct error *err)
{
	const struct vpasswd_entry *old;
	struct vpasswd_entry entry;
	enum admin_result result = users_find(users, name, &old, err);

	if (result != ADMIN_OK)
		return result;
	entry = *old;
	if (dir != NULL)
		entry.dir = dir;
	if (quota != NULL)
		entry.quota = quota;
	return users_change(users, &entry, err);
}

enum admin_result
users_set_quota(
    struct users *users, const char *name, const char *quota, struct error *err)
{
	const struct vpasswd_entry *old;
	enum admin_result result = put_fields(users, name, NULL, quota, err);

	AUTO(place_release) struct place place = { .name = NULL };
	int is_here = result == ADMIN_OK
	    ? users_is_here(users, name, &place, err)
	    : 1;

	if (is_here == -1)
		return ADMIN_FAILED;
	if (result == ADMIN_OK)
		result = users_find(users, name, &old, err);
	if (result == ADMIN_OK && is_here == 0)
		return users_count_elsewhere(users, old->dir, &place, err);
	if (result != ADMIN_OK || user_dir_forget_size(old->dir, err) == 0)
		return result;
	error_context(
	    err, "the quota is changed, but the old one may still be kept");
	return ADMIN_FAILED;
}

/* The old folder of a user who has been moved. */
static enum admin_result
remove_old(const char *new_dir, struct error *err)
{
	OWN_TEXT note = xasprintf("%s/%s", new_dir, note_name);
	OWN_TEXT new_maildir = xasprintf("%s/Maildir", new_dir);
	OWN_TEXT old_maildir = NULL;
	AUTO(buf_release) struct buf old = BUF_INIT;
	int found = file_read(note, NOTE_BYTES_MAX, &old, err);

	if (found != 1)
		return admin_result_of(found);
	old_maildir = xasprintf("%s/Maildir", old.data);
	if (copy_late_mail(old_maildir, new_maildir, err) == -1 ||
	    file_remove_tree(old.data, err) == -1 || unlink(note) == -1) {
		error_context(
		    err, "the user is moved, but '%s' is left", old.data);
		return ADMIN_FAILED;
	}
	return ADMIN_OK;
}

static int
sync_filesystem(const char *path, struct error *err)
{
	AUTO(file_close)
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd == -1 || syncfs(fd) == -1
	    ? error_sys(err, "cannot sync the filesystem of '%s'", path)
	    : 0;
}

/*
 * To another filesystem.  The folder is copied while mail goes on; then it is
 * renamed, so that mail waits, and what came meanwhile is copied.  The new
 * folder gets its name when it is whole, and then the user gets it.
 */
static enum admin_result
copy_user(struct users *users, const char *name, const char *dir,
    const char *new_dir, struct error *err)
{
	const char *slash = strrchr(dir, '/');
	OWN_TEXT old = xasprintf(
	    "%.*s/.moved.%s", (int)(slash - dir), dir, slash + 1);
	OWN_TEXT part = xasprintf("%s.moving", new_dir);
	OWN_TEXT note = xasprintf("%s/%s", part, note_name);
	struct progress progress;
	int result = 0;

	progress_begin(&progress, "copying files", 0);
	if (is_folder(dir))
		result = copy_tree(dir, part, &progress, err);
	if (result == 0 && is_folder(dir) && rename(dir, old) == -1)
		result = error_sys(err, "cannot rename '%s'", dir);
	if (result == 0)
		result = file_sync_parent(dir, err);
	if (result == 0)
		result = copy_tree(old, part, &progress, err);
	progress_end(&progress);
	if (result == 0)
		result = file_replace(note, old, strlen(old), 0600, err);
	if (result == 0)
		result = sync_filesystem(part, err);
	if (result == 0 && rename(part, new_dir) == -1)
		result = error_sys(err, "cannot rename '%s'", part);
	if (result == 0)
		result = file_sync_parent(new_dir, err);
	return result == -1 ? ADMIN_FAILED : put_fields(users, name, new_dir, NULL, err);
}

static enum admin_result
move_dir(struct users *users, const char *name, const char *dir,
    const char *new_dir, struct error *err)
{
	OWN_TEXT parent = xstrndup(
	    new_dir, (size_t)(strrchr(new_dir, '/') - new_dir));
	OWN_TEXT note = xasprintf("%s/%s", new_dir, note_name);
	bool is_there = is_folder(dir);
	bool is_copied = !is_there && access(note, F_OK) == 0;
	enum admin_result result;

	if (is_there && access(new_dir, F_OK) == 0)
		return admin_refuse(err,
		    "'%s' is there already: move it away, or remove it, first",
		    new_dir);
	if (file_make_dirs(parent, 0700, err) == -1)
		return ADMIN_FAILED;
	if (is_copied || (!is_there && is_folder(new_dir)))
		result = put_fields(users, name, new_dir, NULL, err);
	else if (is_there && rename(dir, new_dir) == 0)
		result = sync_both(dir, new_dir, err) == -1
		    ? ADMIN_FAILED
		    : put_fields(users, name, new_dir, NULL, err);
	else if (is_there && errno != EXDEV)
		return admin_fail(
		    err, "cannot rename '%s' to '%s'", dir, new_dir);
	else
		result = copy_user(users, name, dir, new_dir, err);
	return result == ADMIN_OK ? remove_old(new_dir, err) : result;
}

enum admin_result
users_move(struct users *users, const char *name, const char *new_dir,
    struct error *err)
{
	OWN_TEXT to = plain_dir(new_dir);
	OWN_TEXT dir = NULL;
	const struct vpasswd_entry *entry;
	enum admin_result result = users_find(users, name, &entry, err);
	int is_own, is_other;

	if (result == ADMIN_OK && users->is_clustered)
		return admin_refuse(err,
		    "'%s' is a domain of the cluster: vmoveuser moves users "
		    "from store to store",
		    users->domain);
	if (result != ADMIN_OK)
		return result;
	if (homes_check(users->control_dir, users->dir, to, err) == -1)
		return ADMIN_REFUSED;
	dir = plain_dir(entry->dir);
	if (strcmp(dir, to) == 0)
		return remove_old(to, err);
	is_own = users_is_dir_own(users, name, dir, err);
	is_other = is_own == -1 ? -1 : users_is_dir_own(users, name, to, err);
	if (is_own == -1 || is_other == -1)
		return ADMIN_FAILED;
	if (is_own == 0 || is_other == 0 || users_is_within(to, dir) ||
	    users_is_within(dir, to))
		return admin_refuse(err,
		    "'%s' or '%s' is within the folder of another user, or one "
		    "within the other",
		    dir, to);
	return move_dir(users, name, dir, to, err);
}

enum admin_result
users_remove_outside(struct users *users, struct error *err)
{
	const struct vpasswd_entry *entry;
	int found, is_own;

	users_rewind(users);
	while ((found = users_next(users, &entry, err)) == 1) {
		OWN_TEXT dir = plain_dir(entry->dir);

		if (users_is_within(dir, users->dir) || !is_folder(dir))
			continue;
		is_own = users_is_dir_own(users, entry->name, dir, err);
		if (is_own == -1)
			return ADMIN_FAILED;
		if (is_own == 1 && file_remove_tree(dir, err) == -1)
			return ADMIN_FAILED;
	}
	return admin_result_of(found);
}

enum admin_result
users_move_all(struct users *users, const char *dir, const char *new_dir,
    struct error *err)
{
	const struct vpasswd_entry *entry;
	struct vpasswd_entry *entries = NULL;
	enum admin_result result;
	size_t count = 0;
	int found;

	users_rewind(users);
	while ((found = users_next(users, &entry, err)) == 1) {
		if (strcmp(entry->dir, dir) == 0 ||
		    !users_is_within(entry->dir, dir))
			continue;
		entries = mem_room(entries, count, sizeof(*entries));
		entries[count] = *entry;
		entries[count++].dir = xasprintf(
		    "%s%s", new_dir, entry->dir + strlen(dir));
	}
	result = found == -1 ? ADMIN_FAILED
	    : count == 0     ? ADMIN_OK
			     : users_put(users, entries, count, err);
	for (size_t i = 0; i < count; i++)
		mem_free(&entries[i].dir);
	free(entries);
	return result;
}
