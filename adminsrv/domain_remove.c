/* SPDX-License-Identifier: ISC */
/* Virtual domains: removed. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adminsrv/domain.h"
#include "adminsrv/domain_cluster.h"
#include "adminsrv/domain_db.h"
#include "adminsrv/domain_private.h"
#include "adminsrv/leftover.h"
#include "adminsrv/lock.h"
#include "adminsrv/node_lines.h"
#include "adminsrv/notify.h"
#include "adminsrv/owner.h"
#include "adminsrv/users.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/strlist.h"
#include "control/layout.h"

/* One removal: the folder, and under which name it waits to be emptied. */
struct removal {
	char *dir;
	char *removed_dir;
	struct strlist names; /* the domain and its alias domains */
	bool has_dir, has_removed_dir;
	bool is_alias;
	struct domain_db *db; /* NULL: the users are in files */
};

static bool
is_there_as_dir(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/*
 * The folder that users/assign names, or, when a killed run has removed that
 * line, where the domain's would be.  Only what has users in it is a domain's:
 * a system user's line in users/assign looks the same.
 */
static void
find_dir(struct removal *removal, const struct home *home, const char *domain,
    const struct node_state *state)
{
	OWN_TEXT users = NULL;
	char *slash;

	removal->dir = state->assign_dir != NULL
	    ? xstrdup(state->assign_dir)
	    : xasprintf("%s/%s", home->domains, domain);
	slash = strrchr(removal->dir, '/');
	removal->removed_dir = xasprintf("%.*s/.removed.%s",
	    (int)(slash - removal->dir), removal->dir, slash + 1);
	users = layout_domain_path(removal->dir,
	    removal->db == NULL ? LAYOUT_vpasswd : LAYOUT_vpasswd_lock);
	removal->has_dir = is_there_as_dir(removal->dir) &&
	    access(users, F_OK) == 0;
	removal->has_removed_dir = is_there_as_dir(removal->removed_dir);
}

static int
find_names(struct removal *removal, const struct home *home, const char *domain,
    bool is_alias, struct error *err)
{
	if (!is_alias &&
	    node_lines_aliases(home, domain, &removal->names, err) == -1)
		return -1;
	strlist_add(&removal->names, domain); /* the domain itself comes last */
	return 0;
}

static void
removal_release(struct removal *removal)
{
	strlist_release(&removal->names);
	domain_db_free(&removal->db);
	free(removal->dir);
	free(removal->removed_dir);
}

/*
 * Empties the renamed folder as its owner, so that no link in it leads root
 * out, and removes it.
 */
static enum admin_result
empty_removed(const char *dir, struct error *err)
{
	enum admin_result result;
	struct error reason;
	struct stat st;

	if (lstat(dir, &st) == -1)
		return errno == ENOENT
		    ? ADMIN_OK
		    : admin_fail(err, "cannot look at '%s'", dir);
	result = owner_enter(st.st_uid, st.st_gid, err);
	if (result != ADMIN_OK)
		return result;
	file_remove_tree(dir, &reason);
	owner_leave();
	if (rmdir(dir) == 0 || errno == ENOENT)
		return ADMIN_OK;
	error_set(err,
	    "the domain is removed, but not all of its folder: remove '%s' by "
	    "hand (%s)",
	    dir, reason.text);
	return ADMIN_FAILED;
}

/* Nothing more is accepted, then nothing is sent there, for every name. */
static int
stop_mail(
    const struct home *home, const struct strlist *names, struct error *err)
{
	for (size_t i = 0; i < names->count; i++)
		if (node_lines_remove_rcpthost(home, names->items[i], err) ==
		    -1)
			return -1;
	for (size_t i = 0; i < names->count; i++)
		if (node_lines_remove_virtual(home, names->items[i], err) == -1)
			return -1;
	return 0;
}

/*
 * Renames the domain's folder away, when nobody is changing its users: who
 * waits for the lock then finds no folder.
 */
static enum admin_result
put_aside(const struct removal *removal, struct error *err)
{
	OWN_TEXT path = layout_domain_path(removal->dir, LAYOUT_vpasswd_lock);
	enum admin_result result;
	struct stat st;
	int lock;

	if (lstat(removal->dir, &st) == -1)
		return admin_fail(err, "cannot look at '%s'", removal->dir);
	result = owner_enter(st.st_uid, st.st_gid, err);
	if (result != ADMIN_OK)
		return result;
	lock = lock_take(path, err);
	owner_leave();
	if (lock == -1)
		return ADMIN_FAILED;
	result = empty_removed(removal->removed_dir, err);
	if (result == ADMIN_OK &&
	    rename(removal->dir, removal->removed_dir) == -1)
		result = admin_fail(err, "cannot rename '%s' to '%s'",
		    removal->dir, removal->removed_dir);
	if (result == ADMIN_OK)
		result = admin_result_of(file_sync_parent(removal->dir, err));
	close(lock);
	return result;
}

static enum admin_result
open_users(const struct home *home, const struct removal *removal,
    const char *domain, struct users **users_out, struct error *err)
{
	struct users_at at = { .control_dir = home->control,
		.domain = domain,
		.dir = removal->dir,
		.is_leaving = true };
	struct stat st;

	if (lstat(removal->dir, &st) == -1)
		return admin_fail(err, "cannot look at '%s'", removal->dir);
	*users_out = NULL;
	at.uid = st.st_uid;
	at.gid = st.st_gid;
	return users_open(&at, true, users_out, err);
}

/* Who cannot be read has folders that would stay. */
static enum admin_result
check_users(const struct home *home, const struct removal *removal,
    const char *domain, struct error *err)
{
	AUTO(users_close) struct users *users = NULL;

	return open_users(home, removal, domain, &users, err);
}

/* The users' folders that are not in the domain's. */
static enum admin_result
remove_outside(const struct home *home, const struct removal *removal,
    const char *domain, struct error *err)
{
	AUTO(users_close) struct users *users = NULL;
	enum admin_result result = open_users(
	    home, removal, domain, &users, err);

	return result == ADMIN_OK ? users_remove_outside(users, err) : result;
}

static enum admin_result
remove_locked(const struct home *home, const struct removal *removal,
    bool keep_mail, struct error *err)
{
	const struct strlist *names = &removal->names;
	const char *domain = names->items[names->count - 1];
	/* Nothing is begun as long as the database is away. */
	enum admin_result result = domain_db_remove_begin(
	    removal->db, domain, err);
	enum admin_result told;

	if (result == ADMIN_OK && removal->has_dir && !keep_mail)
		result = check_users(home, removal, domain, err);
	if (result != ADMIN_OK)
		return result;
	if (stop_mail(home, names, err) == -1)
		return ADMIN_FAILED;
	told = admin_result_of(notify_daemons(home->run, err));
	if (removal->has_dir && !keep_mail)
		result = remove_outside(home, removal, domain, err);
	if (result == ADMIN_OK && removal->has_dir && !keep_mail)
		result = put_aside(removal, err);
	if (result == ADMIN_OK)
		result = domain_db_remove_end(
		    removal->db, domain, removal->is_alias, keep_mail, err);
	if (result != ADMIN_OK)
		return result;
	/* The line that names the folder goes when the folder has gone. */
	for (size_t i = 0; i < names->count; i++)
		if (node_lines_remove_assign(home, names->items[i], err) == -1)
			return ADMIN_FAILED;
	if (!keep_mail)
		result = empty_removed(removal->removed_dir, err);
	return result == ADMIN_OK ? told : result;
}

/* All is removed; that some file cannot be read now changes nothing of it. */
static void
find_left(
    const struct home *home, const struct strlist *names, struct buf *left)
{
	struct error err;

	for (size_t i = 0; i < names->count; i++)
		if (leftover_find(home, names->items[i], left, &err) == -1)
			buf_addf(left,
			    "it is not known whether a setting still names "
			    "'%s': %s\n",
			    names->items[i], err.text);
}

static enum admin_result
remove_named(const struct home *home, const char *domain, bool keep_mail,
    const struct node_state *state, struct buf *left, struct error *err)
{
	bool is_alias = state->assign_user != NULL &&
	    strcmp(state->assign_user, domain) != 0;
	struct removal removal = { .dir = NULL, .is_alias = is_alias };
	enum admin_result result = domain_db_open(home, &removal.db, err);

	if (result != ADMIN_OK)
		return result;
	result = ADMIN_FAILED;
	find_dir(&removal, home, domain, state);
	if (is_alias)
		removal.has_dir = removal.has_removed_dir = false;
	if (state->assign_user == NULL && state->virtual_to == NULL &&
	    !removal.has_removed_dir && (keep_mail || !removal.has_dir))
		result = admin_refuse(err, "no virtual domain '%s'", domain);
	else if (find_names(&removal, home, domain, is_alias, err) == 0)
		result = remove_locked(
		    home, &removal, keep_mail || is_alias, err);
	if (result == ADMIN_OK)
		find_left(home, &removal.names, left);
	removal_release(&removal);
	return result;
}

enum admin_result
domain_remove(const struct home *home, const char *domain, bool keep_mail,
    bool no_wait, struct buf *left, struct error *err)
{
	struct domain_lock lock;
	int is_clustered = domain_is_clustered(home, domain, err);
	enum admin_result result = ADMIN_FAILED;

	if (is_clustered == 1)
		return keep_mail
		    ? admin_refuse(err,
			  "'%s' is of the cluster: its mail is in stores, and "
			  "cannot be kept without its users",
			  domain)
		    : domain_cluster_remove(home, domain, no_wait, err);
	if (is_clustered == 0)
		result = domain_lock_take(home, domain, &lock, err);
	if (result != ADMIN_OK)
		return result;
	result = remove_named(home, domain, keep_mail, &lock.state, left, err);
	domain_lock_release(&lock);
	return result;
}
