/* SPDX-License-Identifier: ISC */
/* The database's schema. */
#include "lookupd/schema.h"

#include <assert.h>
#include <stdio.h>

enum {
	QUESTION_MS = 10000,
	LOCK_MS = 60000,
	UPGRADE_MS = 3600 * 1000 /* a large table may be written anew */
};

/* A long text: without -Wpedantic, as all, no length is too much. */
static const struct {
	const char *sql;
} versions[] = {
#include "lookupd/schema_texts.h"
};

int
schema_newest(void)
{
	return sizeof(versions) / sizeof(versions[0]);
}

const char *
schema_sql(int version)
{
	assert(version >= 1 && version <= schema_newest());
	return versions[version - 1].sql;
}

static enum pg_status
ask_number(struct pg *pg, const char *sql, int timeout_ms, int *number_out,
    struct error *err)
{
	const struct pg_statement statement = { NULL, sql };
	struct pg_result *result;
	enum pg_status status = pg_run(
	    pg, &statement, NULL, 0, timeout_ms, &result, err);

	if (status == PG_OK) {
		*number_out = pg_rows(result) == 0
		    ? 0
		    : (int)pg_number(result, 0, 0);
		pg_result_free(&result);
	}
	return status;
}

enum pg_status
schema_version(struct pg *pg, int *version_out, struct error *err)
{
	int is_there = 0;
	/* to_regclass() may remember what was before another's commit. */
	enum pg_status status = ask_number(pg,
	    "SELECT count(*) FROM pg_catalog.pg_class c "
	    "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
	    "WHERE n.nspname = 'mq' AND c.relname = 'schema_version'",
	    QUESTION_MS, &is_there, err);

	*version_out = 0;
	if (status != PG_OK || !is_there)
		return status;
	return ask_number(pg, "SELECT max(version) FROM mq.schema_version",
	    QUESTION_MS, version_out, err);
}

/* One version more, while we hold the lock. */
static enum pg_status
upgrade_step(struct pg *pg, int *version_out, struct error *err)
{
	enum pg_status status;
	int unused;

	/* No table says that there is a lock: its number does. */
	status = ask_number(pg,
	    "SELECT 1 FROM pg_advisory_xact_lock(1836216674)", LOCK_MS, &unused,
	    err);
	if (status == PG_OK)
		status = schema_version(pg, version_out, err);
	if (status != PG_OK || *version_out >= schema_newest())
		return status;
	status = pg_script(pg, versions[*version_out].sql, UPGRADE_MS, err);
	if (status == PG_OK) {
		char sql[100];

		snprintf(sql, sizeof(sql),
		    "INSERT INTO mq.schema_version (version) VALUES (%d)",
		    *version_out + 1);
		status = pg_script(pg, sql, QUESTION_MS, err);
	}
	if (status != PG_OK)
		error_context(err, "schema version %d", *version_out + 1);
	return status;
}

/*
 * One transaction, one at a time: the server takes no two GRANTs of one thing at
 * once.  Roles are of all databases of a server, so another may make it now.
 * Passwords in clear are for lookupd alone; tables that a later version adds
 * are granted here by name.
 */
static const char grant_reader[] =
    "SELECT pg_advisory_xact_lock(1836216674);"
    "DO $$ BEGIN "
    "IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'mqmail_read') THEN "
    "CREATE ROLE mqmail_read NOLOGIN; END IF; "
    "EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;"
    "GRANT USAGE ON SCHEMA mq TO mqmail_read;"
    "GRANT SELECT ON mq.domains, mq.domain_aliases, mq.aliases, mq.filters, "
    "mq.limits, mq.usage, mq.last_auth, mq.relay, mq.ip_domains, "
    "mq.filesystems, mq.schema_version TO mqmail_read;"
    "GRANT SELECT (id, domain_id, name, hash, scram, uid_flags, flags, "
    "is_active, gecos, dir, quota, created, changed) ON mq.users "
    "TO mqmail_read;"
    "GRANT SELECT ON public.indimail, public.indibak, public.valias, "
    "public.vfilter, public.vlimits, public.aliasdomain, public.relay, "
    "public.lastauth, public.userquota, public.hostcntrl, public.fstab, "
    "public.ip_alias_map TO mqmail_read";

enum pg_status
schema_grant_reader(struct pg *pg, struct error *err)
{
	return pg_script(pg, grant_reader, LOCK_MS, err);
}

enum pg_status
schema_upgrade(struct pg *pg, int *from_out, struct error *err)
{
	enum pg_status status;
	int version;

	*from_out = -1;
	do {
		status = pg_begin(pg, err);
		if (status != PG_OK)
			return status;
		status = upgrade_step(pg, &version, err);
		if (status == PG_OK)
			status = pg_commit(pg, err);
		if (status != PG_OK) {
			pg_rollback(pg);
			return status;
		}
		if (*from_out == -1)
			*from_out = version;
	} while (version + 1 < schema_newest());
	if (version <= schema_newest())
		return PG_OK;
	error_set(err,
	    "the database has version %d of the schema, and this program knows "
	    "%d: upgrade mqmail on this node",
	    version, schema_newest());
	return PG_REFUSED;
}
