/* SPDX-License-Identifier: ISC */
/* One domain's users, opened to be changed. */
#include "adminsrv/users.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adminsrv/dirhash.h"
#include "adminsrv/lock.h"
#include "adminsrv/user_dir.h"
#include "adminsrv/owner.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/scan.h"
#include "control/layout.h"
#include "mailbox/quota.h"

/* From so many new users on, one sync of the filesystem is the cheaper one. */
enum { SYNC_EACH_MAX = 16 };

struct users {
	char *dir;
	int lock_fd;
	struct vpasswd_file *file;
	bool has_text; /* not so with a new domain */
};

enum admin_result
users_find_domain(const char *home_root, const char *domain,
    struct store_domain *domain_out, struct error *err)
{
	AUTO(store_free) struct store *store = store_open(home_root, err);
	int found = store == NULL
	    ? -1
	    : store_find_domain(store, domain, domain_out, err);

	if (found != 0)
		return admin_result_of(found);
	return admin_refuse(
	    err, "no virtual domain '%s': add it with vadddomain", domain);
}

static enum admin_result
load_users(struct users *users, bool is_new, struct error *err)
{
	int found = vpasswd_file_load(users->dir, &users->file, err);

	if (found == -1)
		return ADMIN_FAILED;
	if (found == 0 && !is_new) {
		error_set(err,
		    "'%s/vpasswd' is missing: is its disk mounted?  Put it "
		    "back, or run vadddomain for a new one",
		    users->dir);
		return ADMIN_FAILED;
	}
	users->has_text = found == 1;
	user_dir_sweep(users->dir);
	return ADMIN_OK;
}

/* Without looking at the cdb. */
static enum admin_result
open_text(const char *domain_dir, uid_t uid, gid_t gid, bool is_new,
    struct users **users_out, struct error *err)
{
	enum admin_result result = owner_enter(uid, gid, err);
	OWN_TEXT lock = layout_domain_path(domain_dir, LAYOUT_vpasswd_lock);
	struct users *users;

	*users_out = NULL;
	if (result != ADMIN_OK)
		return result;
	users = xcalloc(1, sizeof(*users));
	users->dir = xstrdup(domain_dir);
	users->lock_fd = lock_take(lock, err);
	result = users->lock_fd == -1 ? ADMIN_FAILED
				      : load_users(users, is_new, err);
	if (result != ADMIN_OK)
		users_close(&users);
	*users_out = users;
	return result;
}

enum admin_result
users_open(const char *domain_dir, uid_t uid, gid_t gid, bool is_new,
    struct users **users_out, struct error *err)
{
	enum admin_result result = open_text(
	    domain_dir, uid, gid, is_new, users_out, err);
	struct users *users = *users_out;

	if (result != ADMIN_OK || !users->has_text ||
	    vpasswd_file_is_compiled(users->file) ||
	    vpasswd_file_compile(users->file, err) == 0)
		return result;
	users_close(users_out);
	return ADMIN_FAILED;
}

enum admin_result
users_open_named(const char *home_root, const char *domain,
    struct users **users_out, struct error *err)
{
	AUTO(store_domain_release)
	struct store_domain found = { .name = NULL };
	enum admin_result result = users_find_domain(
	    home_root, domain, &found, err);

	*users_out = NULL;
	if (result != ADMIN_OK)
		return result;
	return users_open(
	    found.dir, found.uid, found.gid, false, users_out, err);
}

/* Deliveries take a quota that cannot be read for none: told in time. */
static enum admin_result
check_quotas(const struct users *users, struct error *err)
{
	const struct vpasswd_entry *entry;
	struct quota quota;
	size_t at = 0;

	while ((entry = vpasswd_file_next(users->file, &at)) != NULL)
		if (quota_read(entry->quota, &quota, err) == -1) {
			error_context(err, "'%s/vpasswd': user '%s'",
			    users->dir, entry->name);
			return ADMIN_REFUSED;
		}
	return ADMIN_OK;
}

enum admin_result
users_compile(const char *domain_dir, uid_t uid, gid_t gid, struct error *err)
{
	AUTO(users_close) struct users *users = NULL;
	enum admin_result result = open_text(
	    domain_dir, uid, gid, false, &users, err);

	if (result == ADMIN_OK)
		result = check_quotas(users, err);
	if (result == ADMIN_OK && vpasswd_file_compile(users->file, err) == -1)
		result = ADMIN_FAILED;
	return result;
}

void
users_close(struct users **users)
{
	if (*users == NULL)
		return;
	vpasswd_file_free(&(*users)->file);
	if ((*users)->lock_fd != -1)
		close((*users)->lock_fd);
	owner_leave();
	free((*users)->dir);
	free(*users);
	*users = NULL;
}

const struct vpasswd_file *
users_file(const struct users *users)
{
	return users->file;
}

/* The limit of users in a folder: .users_per_level, or the most. */
static int
read_limit(const char *domain_dir, unsigned *limit_out, struct error *err)
{
	OWN_TEXT path = xasprintf("%s/.users_per_level", domain_dir);
	AUTO(buf_release) struct buf text = BUF_INIT;
	uint64_t limit = DIRHASH_LIMIT_MAX;
	int result = file_read(path, 64, &text, err);

	if (result == 1 &&
	    (!scan_u64n(text.data, strcspn(text.data, "\n"), DIRHASH_LIMIT_MAX,
		 &limit) ||
		limit == 0))
		result = error_set(err,
		    "'%s' has not a number from 1 to %d in its first line",
		    path, DIRHASH_LIMIT_MAX);
	*limit_out = (unsigned)limit;
	return result == -1 ? -1 : 0;
}

static struct dirhash *
count_user_folders(const struct users *users, struct error *err)
{
	const struct vpasswd_entry *entry;
	struct dirhash *hash;
	unsigned limit;
	size_t at = 0;

	if (read_limit(users->dir, &limit, err) == -1)
		return NULL;
	hash = dirhash_new(users->dir, limit);
	while ((entry = vpasswd_file_next(users->file, &at)) != NULL)
		dirhash_count(hash, entry->dir);
	return hash;
}

/* Makes the user's folder and puts the user into the file, not yet saved. */
static enum admin_result
add_user(struct users *users, struct dirhash *hash, const struct users_new *new,
    struct buf *dir, struct error *err)
{
	struct vpasswd_entry entry;
	enum admin_result result;

	if (vpasswd_file_find(users->file, new->name) != NULL)
		return admin_refuse(err,
		    "user '%s' exists already in '%s': vpasswd changes the "
		    "password, vdeluser removes",
		    new->name, users->dir);
	if (dirhash_place(hash, new->name, dir, err) == -1)
		return ADMIN_REFUSED;
	entry = (struct vpasswd_entry){ .name = new->name,
		.hash = new->hash,
		.gid_flags = new->flags,
		.gecos = new->gecos,
		.dir = dir->data,
		.quota = new->quota };
	if (vpasswd_file_put(users->file, &entry, err) == -1) {
		error_context(err, "user '%s'", new->name);
		return ADMIN_REFUSED;
	}
	result = user_dir_make(dir->data, err);
	if (result != ADMIN_OK)
		error_context(err, "user '%s'", new->name);
	return result;
}

static int
sync_new(const struct users *users, const struct users_new *new, size_t count,
    struct error *err)
{
	if (count > SYNC_EACH_MAX)
		return user_dir_sync_all(users->dir, err);
	for (size_t i = 0; i < count; i++) {
		const struct vpasswd_entry *entry = vpasswd_file_find(
		    users->file, new[i].name);

		if (user_dir_sync(users->dir, entry->dir, err) == -1)
			return -1;
	}
	return 0;
}

enum admin_result
users_add(struct users *users, const struct users_new *new, size_t count,
    struct error *err)
{
	AUTO(dirhash_free)
	struct dirhash *hash = count_user_folders(users, err);
	AUTO(buf_release) struct buf dir = BUF_INIT;
	enum admin_result result = admin_result_of(hash == NULL ? -1 : 0);

	for (size_t i = 0; result == ADMIN_OK && i < count; i++)
		result = add_user(users, hash, &new[i], &dir, err);
	if (result == ADMIN_OK &&
	    (sync_new(users, new, count, err) == -1 ||
		vpasswd_file_save(users->file, err) == -1))
		result = ADMIN_FAILED;
	return result;
}

enum admin_result
users_find(const struct users *users, const char *name,
    const struct vpasswd_entry **entry_out, struct error *err)
{
	*entry_out = vpasswd_file_find(users->file, name);
	if (*entry_out != NULL)
		return ADMIN_OK;
	return admin_refuse(err, "no user '%s' in '%s'", name, users->dir);
}

enum admin_result
users_change(
    struct users *users, const struct vpasswd_entry *entry, struct error *err)
{
	const struct vpasswd_entry *old;

	if (users_find(users, entry->name, &old, err) != ADMIN_OK ||
	    vpasswd_file_put(users->file, entry, err) == -1)
		return ADMIN_REFUSED;
	return admin_result_of(vpasswd_file_save(users->file, err));
}

/* Is inner the folder outer, or below it? */
static bool
is_within(const char *inner, const char *outer)
{
	size_t length = strlen(outer);

	return strncmp(inner, outer, length) == 0 &&
	    (inner[length] == '\0' || inner[length] == '/');
}

/*
 * Files that came from elsewhere may have users who share a folder.  False
 * when removing dir would take more than the one user's mail.
 */
static bool
is_dir_own(const struct users *users, const char *name, const char *dir)
{
	const struct vpasswd_entry *entry;
	size_t at = 0;

	if (strcmp(dir, "/") == 0 || is_within(users->dir, dir))
		return false;
	while ((entry = vpasswd_file_next(users->file, &at)) != NULL) {
		if (strcmp(entry->name, name) != 0 &&
		    (is_within(entry->dir, dir) || is_within(dir, entry->dir)))
			return false;
	}
	return true;
}

/*
 * The folder is renamed first: killed here, the user is there without a
 * folder, mail waits, and the next run ends it.
 */
static enum admin_result
remove_with_dir(
    struct users *users, const char *name, const char *dir, struct error *err)
{
	OWN_TEXT aside = NULL;

	if (user_dir_put_aside(users->dir, dir, &aside, err) == -1)
		return ADMIN_FAILED;
	vpasswd_file_remove(users->file, name);
	if (vpasswd_file_save(users->file, err) == -1) {
		if (aside != NULL && rename(aside, dir) == -1)
			error_context(err, "the mail is in '%s' now", aside);
		return ADMIN_FAILED;
	}
	if (aside == NULL || user_dir_remove(users->dir, aside, err) == 0)
		return ADMIN_OK;
	error_context(err, "the user is removed, but not the mail");
	return ADMIN_FAILED;
}

enum admin_result
users_remove(struct users *users, const char *name, struct error *err)
{
	OWN_TEXT dir = NULL;
	const struct vpasswd_entry *entry;

	if (users_find(users, name, &entry, err) != ADMIN_OK)
		return ADMIN_REFUSED;
	if (!is_dir_own(users, name, entry->dir))
		return admin_refuse(err,
		    "user '%s' shares the folder '%s' with other users: give "
		    "the user another one in '%s/vpasswd' first",
		    name, entry->dir, users->dir);
	dir = xstrdup(entry->dir);
	while (strlen(dir) > 1 && dir[strlen(dir) - 1] == '/')
		dir[strlen(dir) - 1] = '\0';
	return remove_with_dir(users, name, dir, err);
}
