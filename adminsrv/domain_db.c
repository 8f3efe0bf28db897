/* SPDX-License-Identifier: ISC */
/* A domain's row in the database. */
#include "adminsrv/domain_db.h"

#include <stdlib.h>

#include "adminsrv/database.h"
#include "base/mem.h"

struct domain_db {
	struct pg *pg;
};

enum admin_result
domain_db_connect(
    const struct home *home, struct domain_db **db_out, struct error *err)
{
	struct pg *pg;
	enum admin_result result = database_open(home->control, true, &pg, err);

	*db_out = NULL;
	if (result == ADMIN_OK) {
		*db_out = xcalloc(1, sizeof(**db_out));
		(*db_out)->pg = pg;
	}
	return result;
}

enum admin_result
domain_db_open(
    const struct home *home, struct domain_db **db_out, struct error *err)
{
	int is_store = database_is_store(home->control, err);

	*db_out = NULL;
	return is_store == 1 ? domain_db_connect(home, db_out, err)
			     : admin_result_of(is_store);
}

void
domain_db_free(struct domain_db **db)
{
	if (*db == NULL)
		return;
	pg_free(&(*db)->pg);
	free(*db);
	*db = NULL;
}

int
domain_db_has_postmaster(
    struct domain_db *db, const char *domain, struct error *err)
{
	AUTO(pg_result_free) struct pg_result *result = NULL;

	if (database_run(db->pg, &result, err,
		"SELECT 1 FROM mq.users u JOIN mq.domains d ON d.id = u.domain_id "
		"WHERE d.name = $1 AND d.is_active AND u.name = 'postmaster'",
		domain, NULL) != PG_OK)
		return -1;
	return pg_rows(result) > 0;
}

enum admin_result
domain_db_add_alias(struct domain_db *db, const char *real, const char *alias,
    bool *is_new_out, struct error *err)
{
	AUTO(pg_result_free) struct pg_result *result = NULL;
	enum pg_status status;

	*is_new_out = false;
	if (db == NULL)
		return ADMIN_OK;
	status = database_run(db->pg, &result, err,
	    "INSERT INTO mq.domain_aliases AS a (name, domain_id) "
	    "SELECT $2, id FROM mq.domains WHERE name = $1 "
	    "ON CONFLICT (name) DO UPDATE SET domain_id = excluded.domain_id "
	    "WHERE a.domain_id <> excluded.domain_id",
	    real, alias, NULL);
	if (status == PG_OK)
		*is_new_out = pg_changed(result) > 0;
	return database_result(status);
}

/*
 * The lock goes with the transaction.  Who adds users may still do so until the
 * folder is locked: they hold that lock and would wait for us.
 */
enum admin_result
domain_db_remove_begin(
    struct domain_db *db, const char *domain, struct error *err)
{
	enum pg_status status;

	if (db == NULL)
		return ADMIN_OK;
	status = pg_begin(db->pg, err);
	if (status == PG_OK)
		status = database_run(db->pg, NULL, err,
		    "SELECT id FROM mq.domains WHERE name = $1 FOR NO KEY UPDATE",
		    domain, NULL);
	return database_result(status);
}

enum admin_result
domain_db_remove_end(struct domain_db *db, const char *domain, bool is_alias,
    bool keep, struct error *err)
{
	enum pg_status status;
	const struct pg_statement statement = { NULL,
		is_alias ? "DELETE FROM mq.domain_aliases WHERE name = $1"
		    : keep
		    ? "UPDATE mq.domains SET is_active = false WHERE name = $1"
		    : "DELETE FROM mq.domains WHERE name = $1" };
	const char *params[] = { domain };

	if (db == NULL)
		return ADMIN_OK;
	status = pg_run(
	    db->pg, &statement, params, 1, DATABASE_LONG_MS, NULL, err);
	if (status == PG_OK)
		status = pg_commit(db->pg, err);
	return database_result(status);
}

int
domain_db_has_name(struct domain_db *db, const char *name, struct error *err)
{
	AUTO(pg_result_free) struct pg_result *result = NULL;

	if (database_run(db->pg, &result, err,
		"SELECT 1 FROM mq.domains WHERE name = $1 UNION ALL "
		"SELECT 1 FROM mq.domain_aliases WHERE name = $1",
		name, NULL) != PG_OK)
		return -1;
	return pg_rows(result) > 0;
}

enum admin_result
domain_db_rename(struct domain_db *db, const char *domain, const char *new_name,
    const char *dir, const char *new_dir, struct error *err)
{
	static const struct pg_statement move_users = { NULL,
		"UPDATE mq.users u SET dir = $3 || substr(u.dir, length($2) + 1) "
		"FROM mq.domains d WHERE d.id = u.domain_id AND d.name = $1 "
		"AND starts_with(u.dir, $2 || '/')" };
	const char *params[] = { domain, dir, new_dir };
	enum pg_status status = pg_begin(db->pg, err);

	if (status == PG_OK)
		status = pg_run(db->pg, &move_users, params, 3,
		    DATABASE_LONG_MS, NULL, err);
	if (status == PG_OK)
		status = database_run(db->pg, NULL, err,
		    "UPDATE mq.ip_domains SET domain = $2 WHERE domain = $1",
		    domain, new_name, NULL);
	if (status == PG_OK)
		status = database_run(db->pg, NULL, err,
		    "UPDATE mq.domains SET name = $2 WHERE name = $1", domain,
		    new_name, NULL);
	if (status == PG_OK)
		status = pg_commit(db->pg, err);
	else
		pg_rollback(db->pg);
	return database_result(status);
}
