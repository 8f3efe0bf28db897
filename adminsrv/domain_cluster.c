/* SPDX-License-Identifier: ISC */
/* Domains of a cluster. */
#include "adminsrv/domain_cluster.h"

#include <string.h>
#include <unistd.h>

#include "adminsrv/database.h"
#include "adminsrv/domain_private.h"
#include "adminsrv/owner.h"
#include "adminsrv/users.h"
#include "base/file.h"
#include "base/mem.h"
#include "control/identity.h"
#include "control/layout.h"

static char *
folder_of(const struct home *home, const char *domain)
{
	return xasprintf("%s/%s", home->domains, domain);
}

/* Connects, if this node is in a cluster.  1; 0; -1. */
static int
open_cluster(const struct home *home, bool is_writer, struct pg **pg_out,
    struct buf *own_out, struct error *err)
{
	int found = place_own_node(home->control, own_out, err);

	*pg_out = NULL;
	if (found == 1)
		found = database_is_store(home->control, err);
	if (found == 1 &&
	    database_open(home->control, is_writer, pg_out, err) != ADMIN_OK)
		found = -1;
	return found;
}

/* As root, or as the owner of domains; others leave it to them. */
static enum admin_result
make_folder(const struct home *home, const char *domain, struct error *err)
{
	OWN_TEXT dir = folder_of(home, domain);
	OWN_TEXT standard = layout_domain_path(dir, LAYOUT_domain_default);
	struct identity owner;
	enum admin_result result;

	if (access(standard, F_OK) == 0)
		return ADMIN_OK;
	result = domain_make_dir(home, dir, &owner, err);
	if (result == ADMIN_OK)
		result = owner_enter(owner.uid, owner.gid, err);
	if (result != ADMIN_OK)
		return result;
	result = admin_result_of(domain_write_default(dir, NULL, err));
	owner_leave();
	return result == ADMIN_OK ? admin_result_of(file_sync_parent(dir, err))
				  : result;
}

static bool
may_make(const struct home *home)
{
	return geteuid() == 0 || access(home->domains, W_OK) == 0;
}

int
domain_cluster_find(const struct home *home, const char *domain,
    struct store_domain *domain_out, struct error *err)
{
	AUTO(pg_free) struct pg *pg = NULL;
	AUTO(pg_result_free) struct pg_result *row = NULL;
	AUTO(buf_release) struct buf own = BUF_INIT;
	OWN_TEXT dir = NULL;
	struct identity owner;
	const char *name;
	int found = open_cluster(home, true, &pg, &own, err);

	if (found != 1)
		return found;
	if (database_run(pg, &row, err,
		"SELECT name, false FROM mq.domains WHERE name = $1 "
		"AND is_clustered AND is_active UNION ALL "
		"SELECT d.name, true FROM mq.domain_aliases a JOIN mq.domains d "
		"ON d.id = a.domain_id WHERE a.name = $1 AND d.is_clustered "
		"AND d.is_active",
		domain, NULL) != PG_OK)
		return -1;
	if (pg_rows(row) == 0)
		return 0;
	name = pg_text(row, 0, 0);
	if (identity_find(IDENTITY_VIRTUAL, &owner, err) != 1 ||
	    (may_make(home) && make_folder(home, name, err) != ADMIN_OK))
		return -1;
	dir = folder_of(home, name);
	store_domain_release(domain_out);
	*domain_out = (struct store_domain){ .uid = owner.uid,
		.gid = owner.gid,
		.is_alias = pg_bool(row, 0, 1) };
	buf_init(&domain_out->storage);
	buf_add(&domain_out->storage, name, strlen(name) + 1);
	buf_add(&domain_out->storage, dir, strlen(dir) + 1);
	domain_out->name = domain_out->storage.data;
	domain_out->dir = domain_out->storage.data + strlen(name) + 1;
	return 1;
}

int
domain_is_clustered(
    const struct home *home, const char *domain, struct error *err)
{
	AUTO(store_domain_release)
	struct store_domain found = { .name = NULL };

	return domain_cluster_find(home, domain, &found, err);
}

/* $1: a domain, or "" */
static int
list_names(const struct home *home, const char *sql, const char *domain,
    struct strlist *names, struct error *err)
{
	AUTO(pg_free) struct pg *pg = NULL;
	AUTO(pg_result_free) struct pg_result *rows = NULL;
	AUTO(buf_release) struct buf own = BUF_INIT;
	int found = open_cluster(home, false, &pg, &own, err);

	if (found != 1)
		return found;
	if (database_run(pg, &rows, err, sql, domain, NULL) != PG_OK)
		return -1;
	for (size_t i = 0; i < pg_rows(rows); i++)
		strlist_add(names, pg_text(rows, i, 0));
	return 0;
}

int
domain_cluster_list(
    const struct home *home, struct strlist *names, struct error *err)
{
	return list_names(home,
	    "SELECT name FROM mq.domains WHERE is_clustered AND is_active "
	    "AND $1 = '' ORDER BY 1",
	    "", names, err);
}

int
domain_cluster_aliases(const struct home *home, const char *domain,
    struct strlist *names, struct error *err)
{
	return list_names(home,
	    "SELECT a.name FROM mq.domain_aliases a JOIN mq.domains d "
	    "ON d.id = a.domain_id WHERE d.name = $1 AND d.is_clustered "
	    "ORDER BY 1",
	    domain, names, err);
}

enum admin_result
domain_cluster_make_folders(
    const struct home *home, struct pg *pg, struct error *err)
{
	AUTO(pg_result_free) struct pg_result *rows = NULL;
	enum admin_result result = database_result(database_run(pg, &rows, err,
	    "SELECT name FROM mq.domains WHERE is_clustered AND is_active",
	    NULL));

	for (size_t i = 0; result == ADMIN_OK && i < pg_rows(rows); i++)
		result = make_folder(home, pg_text(rows, i, 0), err);
	return result;
}

/* -- made */

/* The files of this node must not say something else of the name. */
static enum admin_result
check_no_lines(const char *domain, const struct node_state *state,
    struct error *err)
{
	if (state->assign_user == NULL && state->virtual_to == NULL)
		return ADMIN_OK;
	return admin_refuse(err,
	    "'%s' is a virtual domain, or an alias, of this node alone: only "
	    "one that is none yet becomes the cluster's",
	    domain);
}

static enum admin_result
put_row(struct pg *pg, const char *domain, struct error *err)
{
	AUTO(pg_result_free) struct pg_result *row = NULL;
	AUTO(pg_result_free) struct pg_result *alias = NULL;
	enum pg_status status = database_run(pg, &alias, err,
	    "SELECT d.name FROM mq.domain_aliases a JOIN mq.domains d "
	    "ON d.id = a.domain_id WHERE a.name = $1",
	    domain, NULL);

	if (status == PG_OK && pg_rows(alias) > 0)
		return admin_refuse(err, "'%s' is an alias of '%s'", domain,
		    pg_text(alias, 0, 0));
	if (status == PG_OK)
		status = database_run(pg, &row, err,
		    "INSERT INTO mq.domains AS d (name, is_clustered) "
		    "VALUES ($1, true) ON CONFLICT (name) DO UPDATE "
		    "SET is_active = true WHERE d.is_clustered RETURNING "
		    "EXISTS (SELECT FROM mq.users u WHERE u.domain_id = d.id "
		    "AND u.name = 'postmaster')",
		    domain, NULL);
	if (status != PG_OK)
		return database_result(status);
	if (pg_rows(row) == 0)
		return admin_refuse(err,
		    "'%s' is a domain of one node alone, in this database: "
		    "only one that is none yet becomes the cluster's",
		    domain);
	return pg_bool(row, 0, 0)
	    ? admin_refuse(err, "the domain '%s' exists already", domain)
	    : ADMIN_OK;
}

static enum admin_result
add_locked(const struct home *home, const char *domain,
    const struct domain_options *options, const struct node_state *state,
    struct error *err)
{
	AUTO(pg_free) struct pg *pg = NULL;
	AUTO(buf_release) struct buf own = BUF_INIT;
	AUTO(users_close) struct users *users = NULL;
	OWN_TEXT dir = folder_of(home, domain);
	struct users_at at = { .control_dir = home->control,
		.domain = domain,
		.dir = dir };
	struct identity owner;
	enum admin_result result = check_no_lines(domain, state, err);
	int found = result == ADMIN_OK
	    ? open_cluster(home, true, &pg, &own, err)
	    : 1;

	if (found == 0)
		return admin_refuse(err,
		    "this node is in no cluster: 'svctool cluster init' makes "
		    "one, 'svctool cluster join' enters one");
	if (found == -1)
		return ADMIN_FAILED;
	if (result == ADMIN_OK)
		result = domain_make_dir(home, dir, &owner, err);
	if (result == ADMIN_OK)
		result = make_folder(home, domain, err);
	if (result == ADMIN_OK)
		result = put_row(pg, domain, err);
	if (result != ADMIN_OK)
		return result;
	at.uid = owner.uid;
	at.gid = owner.gid;
	result = users_open(&at, false, &users, err);
	if (result != ADMIN_OK)
		return result;
	users_set_wish(users, &options->wish, options->no_wait);
	return domain_put_postmaster(users, options, err);
}

enum admin_result
domain_cluster_add(const struct home *home, const char *domain,
    const struct domain_options *options, struct error *err)
{
	struct domain_lock lock;
	enum admin_result result = domain_lock_take(home, domain, &lock, err);

	if (result != ADMIN_OK)
		return result;
	result = add_locked(home, domain, options, &lock.state, err);
	domain_lock_release(&lock);
	return result;
}

enum admin_result
domain_cluster_add_alias(const struct home *home, const char *real,
    const char *alias, struct error *err)
{
	AUTO(pg_free) struct pg *pg = NULL;
	AUTO(pg_result_free) struct pg_result *rows = NULL;
	AUTO(pg_result_free) struct pg_result *result = NULL;
	AUTO(buf_release) struct buf own = BUF_INIT;
	struct domain_lock lock;
	enum admin_result locked = domain_lock_take(home, alias, &lock, err);

	if (locked != ADMIN_OK)
		return locked;
	locked = check_no_lines(alias, &lock.state, err);
	domain_lock_release(&lock);
	if (locked != ADMIN_OK)
		return locked;
	if (open_cluster(home, true, &pg, &own, err) == -1)
		return ADMIN_FAILED;
	if (database_run(pg, &rows, err,
		"SELECT 1 FROM mq.domains WHERE name = $1", alias, NULL) != PG_OK)
		return ADMIN_FAILED;
	if (pg_rows(rows) > 0)
		return admin_refuse(err,
		    "'%s' is a domain with users of its own, and cannot be an "
		    "alias",
		    alias);
	if (database_run(pg, &result, err,
		"INSERT INTO mq.domain_aliases (name, domain_id) SELECT $2, id "
		"FROM mq.domains WHERE name = $1 ON CONFLICT DO NOTHING",
		real, alias, NULL) != PG_OK)
		return ADMIN_FAILED;
	return pg_changed(result) == 0
	    ? admin_refuse(err, "'%s' is an alias already", alias)
	    : ADMIN_OK;
}

/* -- removed */

/*
 * What is to be removed, a folder for each store, and whatever home is
 * elsewhere; then what nodes keep of the domain.
 */
static const char remove_homes_sql[] =
    "INSERT INTO mq.tasks (kind, store_id, args) "
    "SELECT 'remove', r.store_id, jsonb_build_object('dirs', "
    "array_agg(DISTINCT r.dir)) FROM ("
    "SELECT u.store_id, CASE WHEN starts_with(u.dir, s.path || '/' || d.name "
    "|| '/') THEN s.path || '/' || d.name ELSE u.dir END AS dir "
    "FROM mq.users u JOIN mq.domains d ON d.id = u.domain_id "
    "JOIN mq.stores s ON s.id = u.store_id WHERE d.name = $1) AS r "
    "GROUP BY r.store_id RETURNING id";

static const char drop_folders_sql[] =
    "INSERT INTO mq.tasks (kind, node, args) SELECT 'drop', name, "
    "jsonb_build_object('user', $1::text) FROM mq.nodes "
    "WHERE role <> 'legacy' AND NOT is_revoked";

static enum pg_status
remove_rows(struct pg *pg, const char *domain, struct task_ids *ids,
    struct error *err)
{
	AUTO(pg_result_free) struct pg_result *locked = NULL;
	AUTO(pg_result_free) struct pg_result *rows = NULL;
	enum pg_status status = pg_begin(pg, err);
	const struct pg_statement remove = { NULL,
		"DELETE FROM mq.domains WHERE name = $1" };

	if (status == PG_OK)
		status = database_run(pg, &locked, err,
		    "SELECT EXISTS (SELECT FROM mq.moves m JOIN mq.users u "
		    "ON u.id = m.user_id WHERE u.domain_id = d.id) "
		    "FROM mq.domains d WHERE d.name = $1 FOR UPDATE",
		    domain, NULL);
	if (status == PG_OK && pg_rows(locked) > 0 && pg_bool(locked, 0, 0)) {
		error_set(err,
		    "users of '%s' are on their way to another store: again "
		    "when they are there",
		    domain);
		return PG_REFUSED;
	}
	if (status == PG_OK)
		status = database_run(
		    pg, &rows, err, remove_homes_sql, domain, NULL);
	if (status == PG_OK)
		status = database_run(
		    pg, NULL, err, drop_folders_sql, domain, NULL);
	if (status == PG_OK)
		status = pg_run(pg, &remove, (const char *const[]){ domain }, 1,
		    DATABASE_LONG_MS, NULL, err);
	for (size_t i = 0; status == PG_OK && i < pg_rows(rows); i++)
		task_ids_add(ids, pg_text(rows, i, 0));
	return status == PG_OK ? pg_commit(pg, err) : status;
}

static enum admin_result
remove_domain(const struct home *home, struct pg *pg, const char *own,
    const char *domain, bool no_wait, struct error *err)
{
	AUTO(task_ids_release) struct task_ids ids = { NULL, 0 };
	AUTO(pg_result_free) struct pg_result *result = NULL;
	struct tasks_count count;
	enum pg_status status = database_run(pg, &result, err,
	    "DELETE FROM mq.domain_aliases WHERE name = $1", domain, NULL);
	enum admin_result done;

	if (status != PG_OK || pg_changed(result) > 0)
		return database_result(status);
	status = remove_rows(pg, domain, &ids, err);
	if (status != PG_OK) {
		pg_rollback(pg);
		return database_result(status);
	}
	done = tasks_run(home, pg, own, TASKS_QUICK, &count, err);
	if (done == ADMIN_OK && !no_wait)
		done = tasks_wait(pg, &ids, err);
	if (done == ADMIN_OK)
		return ADMIN_OK;
	error_context(err, "the domain is removed, but not yet all its mail");
	return ADMIN_FAILED;
}

enum admin_result
domain_cluster_remove(const struct home *home, const char *domain, bool no_wait,
    struct error *err)
{
	AUTO(pg_free) struct pg *pg = NULL;
	AUTO(buf_release) struct buf own = BUF_INIT;
	struct domain_lock lock;
	enum admin_result result = domain_lock_take(home, domain, &lock, err);

	if (result != ADMIN_OK)
		return result;
	result = open_cluster(home, true, &pg, &own, err) == 1
	    ? remove_domain(home, pg, own.data, domain, no_wait, err)
	    : ADMIN_FAILED;
	domain_lock_release(&lock);
	return result;
}

enum admin_result
domain_cluster_drop_folder(
    const struct home *home, const char *domain, struct error *err)
{
	OWN_TEXT dir = folder_of(home, domain);
	OWN_TEXT standard = layout_domain_path(dir, LAYOUT_domain_default);
	OWN_TEXT lock = layout_domain_path(dir, LAYOUT_vpasswd_lock);
	struct identity owner;
	enum admin_result result = identity_find(IDENTITY_VIRTUAL, &owner, err) ==
		1
	    ? owner_enter(owner.uid, owner.gid, err)
	    : ADMIN_FAILED;

	if (result != ADMIN_OK)
		return result;
	/* Mail is a store's matter: a folder that has any stays. */
	unlink(standard);
	unlink(lock);
	rmdir(dir);
	owner_leave();
	return ADMIN_OK;
}
