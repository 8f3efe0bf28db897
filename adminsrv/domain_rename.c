/* SPDX-License-Identifier: ISC */
/* Virtual domains: renamed. */
#include <errno.h>
#include <stdio.h>
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
#include "control/layout.h"
#include "lookupd/logins.h"

/*
 * In the domain's folder while it is renamed: the old name.  Whoever finds the
 * folder under the new name knows by it that this is why.
 */
static const char mark_name[] = ".domain_rename";

enum { MARK_BYTES_MAX = 1024 };

struct renaming {
	const struct home *home;
	const char *name, *new_name;
	char *dir, *new_dir;
	uid_t uid;
	gid_t gid;
	bool is_moved; /* by a run that was killed */
};

static void
renaming_release(struct renaming *renaming)
{
	free(renaming->dir);
	free(renaming->new_dir);
}

static bool
is_renamed_folder(const struct renaming *renaming)
{
	OWN_TEXT path = xasprintf("%s/%s", renaming->new_dir, mark_name);
	AUTO(buf_release) struct buf mark = BUF_INIT;

	return file_read(path, MARK_BYTES_MAX, &mark, NULL) == 1 &&
	    strcmp(mark.data, renaming->name) == 0;
}

/* Another domain, or a folder of something else, must not be taken over. */
static enum admin_result
check_new_name(struct renaming *renaming, const struct node_state *state,
    struct error *err)
{
	struct stat st;

	renaming->is_moved = access(renaming->dir, F_OK) == -1 &&
	    is_renamed_folder(renaming);
	if (renaming->is_moved)
		return ADMIN_OK;
	if (state->assign_user != NULL || state->virtual_to != NULL)
		return admin_refuse(
		    err, "there is a domain '%s' already", renaming->new_name);
	if (lstat(renaming->new_dir, &st) == 0)
		return admin_refuse(err,
		    "'%s' is there already: move it away, or remove it, first",
		    renaming->new_dir);
	if (access(renaming->dir, F_OK) == -1)
		return admin_fail(
		    err, "cannot find the folder '%s'", renaming->dir);
	return ADMIN_OK;
}

/* With the users locked, so that nobody is changing them. */
static enum admin_result
move_folder(const struct renaming *renaming, struct error *err)
{
	OWN_TEXT mark = xasprintf("%s/%s", renaming->dir, mark_name);
	OWN_TEXT lock_path = layout_domain_path(
	    renaming->dir, LAYOUT_vpasswd_lock);
	AUTO(file_close) int lock = -1;
	enum admin_result result = owner_enter(
	    renaming->uid, renaming->gid, err);

	if (result != ADMIN_OK)
		return result;
	lock = lock_take(lock_path, err);
	if (lock == -1 ||
	    file_replace(
		mark, renaming->name, strlen(renaming->name), 0600, err) == -1)
		result = ADMIN_FAILED;
	owner_leave();
	if (result == ADMIN_OK &&
	    rename(renaming->dir, renaming->new_dir) == -1)
		result = admin_fail(err, "cannot rename '%s' to '%s'",
		    renaming->dir, renaming->new_dir);
	return result == ADMIN_OK
	    ? admin_result_of(file_sync_parent(renaming->new_dir, err))
	    : result;
}

/* The users' folders, and of a database the name. */
static enum admin_result
move_users(
    const struct renaming *renaming, struct domain_db *db, struct error *err)
{
	const struct users_at at = { .control_dir = renaming->home->control,
		.domain = renaming->new_name,
		.dir = renaming->new_dir,
		.uid = renaming->uid,
		.gid = renaming->gid };
	AUTO(users_close) struct users *users = NULL;
	enum admin_result result;

	if (db != NULL)
		return domain_db_rename(db, renaming->name, renaming->new_name,
		    renaming->dir, renaming->new_dir, err);
	result = users_open(&at, false, &users, err);
	return result == ADMIN_OK
	    ? users_move_all(users, renaming->dir, renaming->new_dir, err)
	    : result;
}

static int
add_lines(const struct renaming *renaming, const char *name, struct error *err)
{
	const struct home *home = renaming->home;

	return node_lines_set_assign(home, name, renaming->new_name,
		   renaming->uid, renaming->gid, renaming->new_dir,
		   err) == -1 ||
		node_lines_add_virtual(home, name, err) == -1 ||
		node_lines_remove_local(home, name, err) == -1 ||
		node_lines_add_rcpthost(home, name, err) == -1
	    ? -1
	    : 0;
}

static int
remove_lines(const struct renaming *renaming, struct error *err)
{
	const struct home *home = renaming->home;

	return node_lines_remove_rcpthost(home, renaming->name, err) == -1 ||
		node_lines_remove_virtual(home, renaming->name, err) == -1
	    ? -1
	    : 0;
}

static void
drop_mark(const struct renaming *renaming)
{
	OWN_TEXT mark = xasprintf("%s/%s", renaming->new_dir, mark_name);
	struct error ignored;

	if (owner_enter(renaming->uid, renaming->gid, &ignored) != ADMIN_OK)
		return;
	unlink(mark);
	owner_leave();
}

/*
 * The old name's line in users/assign is the last that goes: as long as it is
 * there the same again goes on.
 */
static enum admin_result
rename_real(struct renaming *renaming, struct domain_db *db, struct error *err)
{
	const struct home *home = renaming->home;
	OWN_TEXT logins = layout_path(home, LAYOUT_logins);
	struct strlist aliases = { NULL, 0 };
	enum admin_result result = renaming->is_moved
	    ? ADMIN_OK
	    : move_folder(renaming, err);
	int done = 0;

	if (result == ADMIN_OK)
		result = move_users(renaming, db, err);
	if (result != ADMIN_OK)
		return result;
	if (node_lines_aliases(home, renaming->name, &aliases, err) == -1 ||
	    add_lines(renaming, renaming->new_name, err) == -1)
		done = -1;
	for (size_t i = 0; done == 0 && i < aliases.count; i++)
		done = add_lines(renaming, aliases.items[i], err);
	strlist_release(&aliases);
	if (done == 0)
		done = remove_lines(renaming, err);
	logins_rename_domain(logins, renaming->name, renaming->new_name);
	if (done == 0)
		done = notify_daemons(home->run, err);
	if (done == 0)
		done = node_lines_remove_assign(home, renaming->name, err);
	if (done == 0)
		drop_mark(renaming);
	return admin_result_of(done);
}

static enum admin_result
check_free_row(
    const struct renaming *renaming, struct domain_db *db, struct error *err)
{
	int is_there = db == NULL || renaming->is_moved
	    ? 0
	    : domain_db_has_name(db, renaming->new_name, err);

	return is_there == 1
	    ? admin_refuse(err,
		  "the database has a domain '%s' already (kept by vdeldomain "
		  "-k?): vadddomain takes it over",
		  renaming->new_name)
	    : admin_result_of(is_there);
}

static enum admin_result
rename_locked(const struct home *home, const char *name, const char *new_name,
    const struct node_state *state, struct error *err)
{
	AUTO(node_state_release)
	struct node_state other = { .assign_user = NULL };
	AUTO(domain_db_free) struct domain_db *db = NULL;
	struct renaming renaming = { .home = home,
		.name = name,
		.new_name = new_name,
		.uid = state->assign_uid,
		.gid = state->assign_gid };
	const char *slash = strrchr(state->assign_dir, '/');
	enum admin_result result;

	if (node_state_read(home, new_name, &other, err) == -1)
		return ADMIN_FAILED;
	renaming.dir = xstrdup(state->assign_dir);
	renaming.new_dir = xasprintf("%.*s/%s",
	    (int)(slash - state->assign_dir), state->assign_dir, new_name);
	result = domain_db_open(home, &db, err);
	if (result == ADMIN_OK)
		result = check_new_name(&renaming, &other, err);
	if (result == ADMIN_OK)
		result = check_free_row(&renaming, db, err);
	if (result == ADMIN_OK)
		result = rename_real(&renaming, db, err);
	renaming_release(&renaming);
	return result;
}

/* An alias domain is a new one beside the old, which then goes. */
static enum admin_result
rename_alias(const struct home *home, const char *name, const char *new_name,
    const char *real, struct buf *left, struct error *err)
{
	AUTO(node_state_release)
	struct node_state state = { .assign_user = NULL };
	enum admin_result result;
	bool is_done;

	if (node_state_read(home, new_name, &state, err) == -1)
		return ADMIN_FAILED;
	is_done = state.assign_user != NULL &&
	    strcmp(state.assign_user, real) == 0 && state.is_in_rcpthosts;
	result = is_done ? ADMIN_OK
			 : domain_add_alias(home, real, new_name, err);
	return result == ADMIN_OK ? domain_remove(home, name, false, false, left, err)
				  : result;
}

enum admin_result
domain_rename(const struct home *home, const char *domain, const char *new_name,
    struct buf *left, struct error *err)
{
	struct domain_lock lock;
	int is_clustered = domain_is_clustered(home, domain, err);
	enum admin_result result = ADMIN_FAILED;
	OWN_TEXT real = NULL;

	if (is_clustered == 0)
		is_clustered = domain_is_clustered(home, new_name, err);
	if (is_clustered == 1)
		return admin_refuse(err,
		    "'%s' is of the cluster, whose domains keep their names: "
		    "vaddaliasdomain gives one another name",
		    domain_is_clustered(home, domain, err) == 1 ? domain
								: new_name);
	if (is_clustered == 0)
		result = domain_lock_take(home, domain, &lock, err);
	if (result != ADMIN_OK)
		return result;
	/* A run that was killed at its end may have left the cdb behind. */
	if (lock.state.assign_user == NULL)
		result = node_lines_remove_assign(home, domain, err) == -1
		    ? ADMIN_FAILED
		    : admin_refuse(err, "no virtual domain '%s'", domain);
	else
		real = xstrdup(lock.state.assign_user);
	if (result == ADMIN_OK && strcmp(domain, new_name) == 0)
		result = admin_refuse(err, "'%s' is its name", domain);
	if (result == ADMIN_OK && strcmp(real, domain) == 0) {
		result = rename_locked(
		    home, domain, new_name, &lock.state, err);
		real[0] = '\0';
	}
	domain_lock_release(&lock);
	if (result == ADMIN_OK && *real != '\0')
		return rename_alias(home, domain, new_name, real, left, err);
	if (result == ADMIN_OK)
		return admin_result_of(leftover_find(home, domain, left, err));
	return result;
}
