/* SPDX-License-Identifier: ISC */
/* The node's user store, by its settings. */
#include "adminsrv/database.h"

#include <assert.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include "control/node_setting.h"
#include "base/mem.h"
#include "control/settings.h"
#include "lookupd/schema.h"

/* One of those that read these settings; all read the same. */
static const char reader[] = "vadduser";

enum { CONNECT_MS = 20000, PARAMS_MAX = 16 };

/*
 * Of this setting alone: the others may be closed to a domain's owner, whose
 * users are in files.
 */
int
database_is_store(const char *control_dir, struct error *err)
{
	AUTO(buf_release) struct buf value = BUF_INIT;

	if (control_dir == NULL)
		return 0;
	if (node_setting_text(control_dir, SETTING_userstore, &value, err) ==
	    -1)
		return -1;
	return strcmp(value.data, "pgsql") == 0;
}

/* What to do, behind the reason of no connection. */
static void
say_where_to_look(
    const char *control_dir, const char *conninfo, struct error *err)
{
	const struct error reason = *err;
	OWN_TEXT service = xasprintf("%s/../service/pgsql", control_dir);
	OWN_TEXT path = realpath(service, NULL);

	if (path != NULL && strstr(conninfo, "/run/pgsql") != NULL)
		error_set(err,
		    "%s: this node's database is the service '%s': svc -u "
		    "starts it, and 'svctool start' all of the node",
		    reason.text, path);
	else
		error_set(err,
		    "%s: see whether it runs, and whether '%s/pgsql' says "
		    "where",
		    reason.text, control_dir);
}

enum admin_result
database_connect(const char *control_dir, bool is_writer, struct pg **pg_out,
    struct error *err)
{
	AUTO(settings_free)
	struct settings *settings = settings_load(
	    control_dir, reader, NULL, err);
	struct pg_options options = { .program = "mqmail admin",
		.is_writer = is_writer };
	enum pg_status status;

	*pg_out = NULL;
	if (settings == NULL)
		return ADMIN_FAILED;
	options.has_pooler =
	    *settings_text(settings, SETTING_pgsqllisten) != '\0';
	options.conninfo = settings_text(settings,
	    is_writer || *settings_text(settings, SETTING_pgsqlread) == '\0'
		? SETTING_pgsql
		: SETTING_pgsqlread);
	if (*options.conninfo == '\0')
		return admin_refuse(err,
		    "'%s/pgsql' is missing or empty: write a connection string "
		    "into it, or 'svctool db local' makes a database of this "
		    "node",
		    control_dir);
	*pg_out = pg_new(&options, err);
	if (*pg_out == NULL)
		return ADMIN_REFUSED;
	status = pg_connect(*pg_out, CONNECT_MS, err);
	if (status == PG_UNKNOWN)
		say_where_to_look(control_dir, options.conninfo, err);
	if (status != PG_OK)
		pg_free(pg_out);
	return database_result(status);
}

enum admin_result
database_open(const char *control_dir, bool is_writer, struct pg **pg_out,
    struct error *err)
{
	enum admin_result result = database_connect(
	    control_dir, is_writer, pg_out, err);
	enum pg_status status;
	int version;

	if (result != ADMIN_OK)
		return result;
	status = schema_version(*pg_out, &version, err);
	result = database_result(status);
	if (status == PG_OK && version == 0)
		result = admin_refuse(err,
		    "the database has no tables of mqmail: 'svctool db init' "
		    "makes them");
	else if (status == PG_OK && version < schema_newest())
		result = admin_refuse(err,
		    "the database has version %d of the schema, and this "
		    "program needs %d: run 'svctool db upgrade'",
		    version, schema_newest());
	else if (status == PG_OK && version > schema_newest())
		result = admin_refuse(err,
		    "the database has version %d of the schema, and this "
		    "program knows %d: upgrade mqmail on this node",
		    version, schema_newest());
	if (result != ADMIN_OK)
		pg_free(pg_out);
	return result;
}

enum admin_result
database_result(enum pg_status status)
{
	switch (status) {
	case PG_OK:
		return ADMIN_OK;
	case PG_UNKNOWN:
		return ADMIN_FAILED;
	case PG_DUPLICATE:
	case PG_REFUSED:
		break;
	}
	return ADMIN_REFUSED;
}

enum pg_status
database_run(struct pg *pg, struct pg_result **result_out, struct error *err,
    const char *sql, ...)
{
	const struct pg_statement statement = { NULL, sql };
	const char *params[PARAMS_MAX];
	size_t count = 0;
	va_list arguments;

	va_start(arguments, sql);
	while ((params[count] = va_arg(arguments, const char *)) != NULL) {
		count++;
		assert(count < PARAMS_MAX);
	}
	va_end(arguments);
	return pg_run(
	    pg, &statement, params, count, DATABASE_MS, result_out, err);
}
