/* SPDX-License-Identifier: ISC */
/* svctool db init, upgrade, status and check. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "adminsrv/database.h"
#include "base/mem.h"
#include "control/assign.h"
#include "control/json_text.h"
#include "control/settings.h"
#include "lookupd/schema.h"
#include "svctool/db/db.h"
#include "svctool/svctool.h"

static int
complain_result(enum admin_result result, const struct error *err)
{
	return complain(
	    result == ADMIN_FAILED ? EXIT_TEMPORARY : EXIT_TROUBLE, err);
}

/* is_new: there may be no schema yet, and else must be one. */
static int
bring_to_newest(const struct node *node, bool is_new)
{
	AUTO(pg_free) struct pg *pg = NULL;
	struct error err;
	enum admin_result result = database_connect(
	    node->home->control, true, &pg, &err);
	enum pg_status status = PG_OK;
	int version = 0;

	if (result == ADMIN_OK)
		result = database_result(schema_version(pg, &version, &err));
	if (result == ADMIN_OK && !is_new && version == 0)
		result = admin_refuse(&err,
		    "the database has no tables of mqmail: 'svctool db init' "
		    "makes them");
	else if (result == ADMIN_OK && is_new && version > 0 &&
	    version < schema_newest())
		result = admin_refuse(&err,
		    "the database has version %d of the schema: 'svctool db "
		    "upgrade' brings it to %d",
		    version, schema_newest());
	if (result == ADMIN_OK)
		result = database_result(schema_upgrade(pg, &version, &err));
	if (result == ADMIN_OK)
		status = schema_grant_reader(pg, &err);
	if (status == PG_REFUSED)
		printf("warning: there is no role mqmail_read for who only "
		       "reads: %s\n",
		    err.text);
	else if (status != PG_OK)
		result = database_result(status);
	if (result != ADMIN_OK)
		return complain_result(result, &err);
	if (version == schema_newest())
		printf("nothing to do: the schema has version %d\n", version);
	else if (version == 0)
		printf("made     the schema, version %d, in the database at "
		       "'%s'\n",
		    schema_newest(), pg_host(pg));
	else
		printf("upgraded the schema from version %d to %d\n", version,
		    schema_newest());
	return EXIT_FINE;
}

int
db_init(const struct node *node)
{
	return bring_to_newest(node, true);
}

int
db_upgrade(const struct node *node)
{
	return bring_to_newest(node, false);
}

/* What status shows, one row of one statement. */
static const char status_sql[] =
    "SELECT current_setting('server_version'), pg_is_in_recovery(), "
    "(SELECT count(*) FROM mq.domains WHERE is_active), "
    "(SELECT count(*) FROM mq.domain_aliases), "
    "(SELECT count(*) FROM mq.users), "
    "(SELECT count(*) FROM mq.changes), "
    "pg_database_size(current_database())";

struct db_state {
	struct pg_result *row;
	const char *host;
	int version;
};

static void
print_state(const char *name, const struct db_state *state)
{
	const struct pg_result *row = state->row;

	printf("%s: '%s', PostgreSQL %s, %s, schema %d of %d\n", name,
	    state->host, pg_text(row, 0, 0),
	    pg_bool(row, 0, 1) ? "standby" : "primary", state->version,
	    schema_newest());
	printf("\t%s domains, %s alias domains, %s users\n", pg_text(row, 0, 2),
	    pg_text(row, 0, 3), pg_text(row, 0, 4));
	printf("\t%s rows in the change log, %lld MiB in all\n",
	    pg_text(row, 0, 5), (long long)(pg_number(row, 0, 6) >> 20));
}

static json_t *
state_json(const struct db_state *state)
{
	const struct pg_result *row = state->row;

	return json_pack("{s:o, s:s, s:b, s:i, s:i, s:I, s:I, s:I, s:I, s:I}",
	    "host", json_text(state->host), "server_version",
	    pg_text(row, 0, 0), "is_standby", pg_bool(row, 0, 1), "schema",
	    state->version, "schema_newest", schema_newest(), "domains",
	    (json_int_t)pg_number(row, 0, 2), "alias_domains",
	    (json_int_t)pg_number(row, 0, 3), "users",
	    (json_int_t)pg_number(row, 0, 4), "changes",
	    (json_int_t)pg_number(row, 0, 5), "bytes",
	    (json_int_t)pg_number(row, 0, 6));
}

/* Looks at one of the two connections. */
static enum admin_result
show_connection(
    const struct node *node, bool is_writer, json_t *json, struct error *err)
{
	AUTO(pg_free) struct pg *pg = NULL;
	AUTO(pg_result_free) struct pg_result *row = NULL;
	struct db_state state = { .version = schema_newest() };
	enum admin_result result = database_open(
	    node->home->control, is_writer, &pg, err);

	if (result == ADMIN_OK)
		result = database_result(
		    database_run(pg, &row, err, status_sql, NULL));
	if (result != ADMIN_OK)
		return result;
	state.row = row;
	state.host = pg_host(pg);
	if (json == NULL)
		print_state(is_writer ? "writers" : "readers", &state);
	else
		json_object_set_new(json, is_writer ? "writers" : "readers",
		    state_json(&state));
	return ADMIN_OK;
}

int
db_status(const struct node *node, bool is_json)
{
	json_t *json = is_json ? json_object() : NULL;
	enum admin_result worst = ADMIN_OK;
	struct error err;

	for (int is_writer = 1; is_writer >= 0; is_writer--) {
		enum admin_result result = show_connection(
		    node, is_writer == 1, json, &err);

		if (result == ADMIN_OK)
			continue;
		worst = result;
		error_context(&err, is_writer ? "writers" : "readers");
		complain(EXIT_TROUBLE, &err);
		if (is_json)
			json_object_set_new(json,
			    is_writer ? "writers" : "readers",
			    json_pack("{s:o}", "error", json_text(err.text)));
	}
	if (is_json) {
		json_dumpf(json, stdout, JSON_INDENT(2));
		putchar('\n');
		json_decref(json);
	}
	return worst == ADMIN_OK    ? EXIT_FINE
	    : worst == ADMIN_FAILED ? EXIT_TEMPORARY
				    : EXIT_TROUBLE;
}

/* What must be empty, or it is a finding: each row names one. */
static const struct {
	const char *sql, *what;
} questions[] = {
	{ "SELECT t.name FROM (VALUES ('domains', 3), ('domain_aliases', 3), "
	  "('users', 3), ('aliases', 3), ('filters', 3), ('limits', 3), "
	  "('nodes', 1), ('stores', 1), ('tasks', 1)) AS t(name, wanted) "
	  "WHERE (SELECT count(*) FROM pg_trigger g JOIN pg_class c "
	  "ON c.oid = g.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
	  "WHERE n.nspname = 'mq' AND c.relname = t.name "
	  "AND g.tgname LIKE 'note_%' AND g.tgenabled IN ('O', 'A')) < t.wanted",
	    "a trigger that notes changes is missing or disabled: caches do "
	    "not learn of them; table mq" },
	{ "SELECT t.name FROM (VALUES ('domains'), ('domain_aliases'), "
	  "('users'), ('aliases'), ('filters'), ('limits'), ('usage'), "
	  "('last_auth'), ('relay'), ('changes'), ('nodes'), "
	  "('store_groups'), ('stores'), ('store_users'), ('tasks'), "
	  "('moves'), ('join_tokens'), ('settings'), ('admins'), "
	  "('admin_rights'), ('audit')) AS t(name) "
	  "WHERE NOT has_table_privilege('mq.' || t.name, "
	  "'SELECT, INSERT, UPDATE, DELETE')",
	    "the role of control/pgsql may not read and change the table mq" },
	{ "SELECT a.name FROM mq.domain_aliases a JOIN mq.domains d "
	  "ON d.name = a.name",
	    "a domain is an alias domain, too" },
	{ "SELECT d.name FROM mq.domains d WHERE d.is_active AND NOT EXISTS "
	  "(SELECT 1 FROM mq.users u WHERE u.domain_id = d.id "
	  "AND u.name = 'postmaster')",
	    "a domain has no postmaster" },
	{ "SELECT d.name || c.folder FROM mq.dir_control c JOIN mq.domains d "
	  "ON d.id = c.domain_id LEFT JOIN (SELECT domain_id, "
	  "regexp_replace(dir, '/[^/]*/*$', '') AS folder, count(*) AS users "
	  "FROM mq.users GROUP BY 1, 2) u USING (domain_id, folder) "
	  "WHERE c.users <> coalesce(u.users, 0) LIMIT 10",
	    "the number of users in a folder (mq.dir_control) is wrong" },
	{ "SELECT s.name FROM mq.stores s LEFT JOIN mq.store_users c "
	  "ON c.store_id = s.id LEFT JOIN (SELECT store_id, count(*) AS users "
	  "FROM mq.users WHERE store_id IS NOT NULL GROUP BY 1) u "
	  "ON u.store_id = s.id "
	  "WHERE coalesce(c.users, 0) <> coalesce(u.users, 0) LIMIT 10",
	    "the number of users of a store (mq.store_users) is wrong" },
};

static enum admin_result
ask_questions(struct pg *pg, json_t *findings, struct error *err)
{
	for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++) {
		const struct pg_statement statement = { NULL,
			questions[i].sql };
		AUTO(pg_result_free) struct pg_result *result = NULL;
		enum pg_status status = pg_run(
		    pg, &statement, NULL, 0, DATABASE_LONG_MS, &result, err);

		if (status != PG_OK)
			return database_result(status);
		for (size_t row = 0; row < pg_rows(result); row++) {
			OWN_TEXT text = xasprintf("%s: '%s'", questions[i].what,
			    pg_text(result, row, 0));

			json_array_append_new(findings, json_text(text));
		}
	}
	return ADMIN_OK;
}

int
db_check(const struct node *node, bool is_json)
{
	AUTO(pg_free) struct pg *writer = NULL;
	AUTO(pg_free) struct pg *reader = NULL;
	json_t *findings = json_array();
	enum admin_result result;
	struct error err;
	size_t count;

	result = database_open(node->home->control, true, &writer, &err);
	if (result == ADMIN_OK)
		result = ask_questions(writer, findings, &err);
	if (result == ADMIN_OK) {
		result = database_open(
		    node->home->control, false, &reader, &err);
		if (result != ADMIN_OK)
			error_context(&err, "readers");
	}
	if (result != ADMIN_OK) {
		complain(EXIT_TROUBLE, &err);
		json_array_append_new(findings, json_text(err.text));
	}
	count = json_array_size(findings);
	if (is_json) {
		json_dumpf(findings, stdout, JSON_INDENT(2));
		putchar('\n');
	} else {
		for (size_t i = 0; result == ADMIN_OK && i < count; i++)
			printf("error: %s\n",
			    json_string_value(json_array_get(findings, i)));
		if (count == 0)
			puts("the database is as it should be");
	}
	json_decref(findings);
	return result == ADMIN_FAILED ? EXIT_TEMPORARY
	    : count > 0               ? EXIT_TROUBLE
				      : EXIT_FINE;
}
