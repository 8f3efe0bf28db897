/* SPDX-License-Identifier: ISC */
/* Virtual domains: made, and given alias names. */
#include "adminsrv/domain.h"

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adminsrv/domain_cluster.h"
#include "adminsrv/domain_db.h"
#include "adminsrv/domain_private.h"
#include "adminsrv/homes.h"
#include "adminsrv/lock.h"
#include "adminsrv/node_lines.h"
#include "adminsrv/notify.h"
#include "adminsrv/owner.h"
#include "adminsrv/users.h"
#include "adminsrv/vpasswd_file.h"
#include "base/file.h"
#include "base/mem.h"
#include "control/identity.h"
#include "control/layout.h"
#include "lookupd/store.h"

enum admin_result
domain_lock_take(const struct home *home, const char *domain,
    struct domain_lock *lock_out, struct error *err)
{
	OWN_TEXT path = layout_path(home, LAYOUT_users_lock);
	struct stat st;

	if (stat(home->users, &st) == -1)
		return admin_fail(err,
		    "cannot find the node's folder '%s' (MQMAIL_HOME names "
		    "the node)",
		    home->users);
	if (geteuid() != 0 && st.st_uid != geteuid())
		return admin_refuse(err,
		    "'%s' belongs to user %lu: run this as that user, or as "
		    "root",
		    home->users, (unsigned long)st.st_uid);
	lock_out->fd = lock_take(path, err);
	if (lock_out->fd == -1)
		return ADMIN_FAILED;
	if (node_state_read(home, domain, &lock_out->state, err) == 0)
		return ADMIN_OK;
	close(lock_out->fd);
	return ADMIN_FAILED;
}

void
domain_lock_release(struct domain_lock *lock)
{
	node_state_release(&lock->state);
	close(lock->fd);
}

/*
 * Another meaning of the name that must not be changed silently, or OK.  What
 * is said to be removed must not take users and mail with it.
 */
static enum admin_result
check_free(const struct node_state *state, const char *domain, const char *real,
    struct error *err)
{
	const char *user = state->assign_user;

	if (user != NULL && strcmp(user, real) != 0 &&
	    strcmp(user, domain) == 0)
		return admin_refuse(err,
		    "'%s' is a virtual domain with users and mail of its own, "
		    "and cannot be an alias as long as it is: choose another "
		    "name (vdeldomain would delete its users and all their "
		    "mail)",
		    domain);
	if (user != NULL && strcmp(user, real) != 0)
		return admin_refuse(err,
		    "'%s' is an alias of '%s': remove that name first with "
		    "'vdeldomain %s', which leaves '%s' as it is",
		    domain, user, domain, user);
	if (state->virtual_to != NULL &&
	    strcasecmp(state->virtual_to, domain) != 0)
		return admin_refuse(err,
		    "control/virtualdomains sends '%s' to '%s': remove that "
		    "line first",
		    domain, state->virtual_to);
	return ADMIN_OK;
}

enum admin_result
domain_make_dir(const struct home *home, const char *dir, struct identity *owner_out,
    struct error *err)
{
	mode_t mode = layout_rows[LAYOUT_domain].mode;
	int found = identity_find(IDENTITY_VIRTUAL, owner_out, err);
	struct stat st;

	if (found != 1)
		return found == 0 ? ADMIN_REFUSED : ADMIN_FAILED;
	if (file_make_dirs(
		home->domains, layout_rows[LAYOUT_domains].mode, err) == -1)
		return ADMIN_FAILED;
	if (mkdir(dir, mode) == -1 && errno != EEXIST)
		return admin_fail(err, "cannot make folder '%s'", dir);
	if (lstat(dir, &st) == -1)
		return admin_fail(err, "cannot look at '%s'", dir);
	/* Root's own: from a run that was killed before this. */
	if (st.st_uid == geteuid() && S_ISDIR(st.st_mode)) {
		if (lchown(dir, owner_out->uid, owner_out->gid) == 0 &&
		    chmod(dir, mode) == 0)
			return ADMIN_OK;
		return admin_fail(err, "cannot give '%s' to its owner", dir);
	}
	if (st.st_uid == owner_out->uid)
		return ADMIN_OK;
	return admin_refuse(err,
	    "'%s' is there already and belongs to uid %ld, not to '%s': move "
	    "it away first",
	    dir, (long)st.st_uid, owner_out->name);
}

static int
write_file(
    const char *dir, const char *name, const char *text, struct error *err)
{
	OWN_TEXT path = xasprintf("%s/%s", dir, name);

	return file_replace(path, text, strlen(text),
	    layout_rows[LAYOUT_domain_default].mode, err);
}

int
domain_write_default(const char *dir, const char *catch_all, struct error *err)
{
	OWN_TEXT line = xasprintf("| vdelivermail '' %s\n",
	    catch_all == NULL ? "bounce-no-mailbox" : catch_all);

	return write_file(dir, layout_below(LAYOUT_domain, LAYOUT_domain_default),
	    line, err);
}

enum admin_result
domain_put_postmaster(struct users *users, const struct domain_options *options,
    struct error *err)
{
	const struct users_new postmaster = { .name = "postmaster",
		.hash = options->password_hash,
		.scram = options->password_scram,
		.secret = options->password_secret,
		.gecos = "Postmaster",
		.quota = options->quota,
		.flags = STORE_POSTMASTER };
	const struct vpasswd_entry *old;
	struct vpasswd_entry entry;
	enum admin_result result = users_find(users, "postmaster", &old, err);

	if (result == ADMIN_REFUSED)
		return users_add(users, &postmaster, 1, err);
	if (result != ADMIN_OK || options->keeps_postmaster)
		return result;
	entry = *old;
	entry.hash = options->password_hash;
	entry.scram = options->password_scram;
	entry.secret = options->password_secret;
	return users_change(users, &entry, err);
}

/* Makes the files in the domain's folder, and the users. */
static enum admin_result
fill_dir(const struct home *home, const char *domain, const char *dir,
    const struct identity *owner, const struct domain_options *options,
    struct error *err)
{
	const struct users_at at = { .control_dir = home->control,
		.domain = domain,
		.dir = dir,
		.uid = owner->uid,
		.gid = owner->gid };
	OWN_TEXT standard = layout_domain_path(dir, LAYOUT_domain_default);
	OWN_TEXT number = xasprintf("%u\n", options->users_per_level);
	OWN_TEXT base = xasprintf(
	    "%s\n", options->base_path == NULL ? "" : options->base_path);
	AUTO(buf_release) struct buf checked = BUF_INIT;
	AUTO(users_close) struct users *users = NULL;
	enum admin_result result;

	if (options->base_path != NULL &&
	    homes_base(home->control, dir, options->base_path, &checked, err) ==
		-1)
		return ADMIN_REFUSED;
	result = users_open(&at, true, &users, err);
	if (result != ADMIN_OK)
		return result;
	if (file_sweep(dir, err) == -1 ||
	    ((options->catch_all != NULL || access(standard, F_OK) == -1) &&
		domain_write_default(dir, options->catch_all, err) == -1) ||
	    (options->base_path != NULL &&
		write_file(dir, ".base_path", base, err) == -1) ||
	    (options->users_per_level > 0 &&
		write_file(dir, ".users_per_level", number, err) == -1))
		return ADMIN_FAILED;
	return domain_put_postmaster(users, options, err);
}

/* The name's lines, once the folder is complete; rcpthosts last. */
static enum admin_result
put_lines(const struct home *home, const char *domain, const char *real,
    uid_t uid, gid_t gid, const char *dir, struct error *err)
{
	if (node_lines_add_assign(home, domain, real, uid, gid, dir, err) ==
		-1 ||
	    node_lines_add_virtual(home, domain, err) == -1 ||
	    node_lines_remove_local(home, domain, err) == -1 ||
	    node_lines_add_rcpthost(home, domain, err) == -1)
		return ADMIN_FAILED;
	return admin_result_of(notify_daemons(home->run, err));
}

static bool
has_all_lines(const struct node_state *state)
{
	return state->is_in_cdb && state->virtual_to != NULL &&
	    !state->is_in_locals && state->is_in_rcpthosts;
}

/* Are the domain's folder and users as fill_dir() leaves them?  1; 0; -1. */
static int
has_all_users(struct domain_db *db, const char *domain, const char *dir,
    struct error *err)
{
	AUTO(vpasswd_file_free) struct vpasswd_file *file = NULL;
	OWN_TEXT standard = layout_domain_path(dir, LAYOUT_domain_default);

	if (db != NULL)
		return access(standard, F_OK) == -1
		    ? 0
		    : domain_db_has_postmaster(db, domain, err);
	return vpasswd_file_load(dir, &file, NULL) != -1 &&
	    vpasswd_file_find(file, "postmaster") != NULL &&
	    vpasswd_file_is_compiled(file);
}

int
domain_is_complete(
    const struct home *home, const char *domain, struct error *err)
{
	AUTO(node_state_release)
	struct node_state state = { .assign_user = NULL };
	AUTO(domain_db_free) struct domain_db *db = NULL;

	if (node_state_read(home, domain, &state, err) == -1)
		return -1;
	if (!has_all_lines(&state) || state.assign_dir == NULL)
		return 0;
	if (domain_db_open(home, &db, err) != ADMIN_OK)
		return -1;
	return has_all_users(db, state.assign_user, state.assign_dir, err);
}

/* Refused when there is nothing to be added. */
static enum admin_result
check_incomplete(struct domain_db *db, const char *domain, const char *dir,
    struct error *err)
{
	int has_users = has_all_users(db, domain, dir, err);

	return has_users == 1
	    ? admin_refuse(err, "the domain '%s' exists already", domain)
	    : admin_result_of(has_users);
}

static enum admin_result
add_locked(const struct home *home, const char *domain,
    const struct domain_options *options, const struct node_state *state,
    struct error *err)
{
	OWN_TEXT dir = state->assign_dir != NULL
	    ? xstrdup(state->assign_dir)
	    : xasprintf("%s/%s", home->domains, domain);
	AUTO(domain_db_free) struct domain_db *db = NULL;
	enum admin_result result = check_free(state, domain, domain, err);
	struct identity owner;

	/* Nothing is begun as long as the database is away. */
	if (result == ADMIN_OK)
		result = domain_db_open(home, &db, err);
	if (result == ADMIN_OK && has_all_lines(state))
		result = check_incomplete(db, domain, dir, err);
	if (result == ADMIN_OK)
		result = domain_make_dir(home, dir, &owner, err);
	if (result == ADMIN_OK)
		result = fill_dir(home, domain, dir, &owner, options, err);
	if (result == ADMIN_OK)
		result = admin_result_of(file_sync_parent(dir, err));
	if (result == ADMIN_OK)
		result = put_lines(
		    home, domain, domain, owner.uid, owner.gid, dir, err);
	return result;
}

enum admin_result
domain_add(const struct home *home, const char *domain,
    const struct domain_options *options, struct error *err)
{
	struct domain_lock lock;
	int is_clustered = domain_is_clustered(home, domain, err);
	enum admin_result result = is_clustered == 1
	    ? admin_refuse(err,
		  "'%s' is a domain, or an alias, of the cluster", domain)
	    : admin_result_of(is_clustered);

	if (result == ADMIN_OK)
		result = domain_lock_take(home, domain, &lock, err);
	if (result != ADMIN_OK)
		return result;
	result = add_locked(home, domain, options, &lock.state, err);
	domain_lock_release(&lock);
	return result;
}

static enum admin_result
alias_locked(const struct home *home, const char *real, const char *alias,
    const struct node_state *to, struct error *err)
{
	AUTO(node_state_release)
	struct node_state state = { .assign_user = NULL };
	AUTO(domain_db_free) struct domain_db *db = NULL;
	enum admin_result result;
	bool is_new;

	if (to->assign_user != NULL && strcmp(to->assign_user, real) != 0)
		return admin_refuse(err,
		    "'%s' is itself an alias of '%s': name that one", real,
		    to->assign_user);
	if (to->assign_user == NULL || to->virtual_to == NULL)
		return admin_refuse(err,
		    "'%s' is no virtual domain of its own: add it with "
		    "vadddomain",
		    real);
	if (node_state_read(home, alias, &state, err) == -1)
		return ADMIN_FAILED;
	result = check_free(&state, alias, real, err);
	if (result != ADMIN_OK)
		return result;
	/* In the database first: no mail is taken before. */
	result = domain_db_open(home, &db, err);
	if (result == ADMIN_OK)
		result = domain_db_add_alias(db, real, alias, &is_new, err);
	if (result != ADMIN_OK)
		return result;
	if (!is_new && state.assign_user != NULL && has_all_lines(&state))
		return admin_refuse(
		    err, "'%s' is an alias of '%s' already", alias, real);
	return put_lines(home, alias, real, to->assign_uid, to->assign_gid,
	    to->assign_dir, err);
}

enum admin_result
domain_add_alias(const struct home *home, const char *real, const char *alias,
    struct error *err)
{
	struct domain_lock to;
	int is_clustered = domain_is_clustered(home, real, err);
	enum admin_result result = ADMIN_FAILED;

	if (is_clustered == 1)
		return domain_cluster_add_alias(home, real, alias, err);
	if (is_clustered == 0)
		is_clustered = domain_is_clustered(home, alias, err);
	if (is_clustered == 1)
		return admin_refuse(err,
		    "'%s' is a domain, or an alias, of the cluster", alias);
	if (is_clustered == 0)
		result = domain_lock_take(home, real, &to, err);
	if (result != ADMIN_OK)
		return result;
	result = alias_locked(home, real, alias, &to.state, err);
	domain_lock_release(&to);
	return result;
}
