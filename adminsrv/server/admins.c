/* SPDX-License-Identifier: ISC */
/* Administrators in the database, and the audit. */
#include "adminsrv/server/admins.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "lookupd/pg.h"

enum {
	STATEMENT_MS = 5000,
	CONNECT_MS = 3000,
	/* After a failure nobody waits for another one so long. */
	AWAY_MS = 2000,
	KNOWN_MAX = 256
};

struct known {
	struct admin admin;
	int64_t seen_ms;
};

struct admins {
	pthread_mutex_t lock; /* for all that follows */
	struct pg *pg;
	int64_t away_until_ms;
	struct known known[KNOWN_MAX];
	size_t known_count;
};

struct admins *
admins_new(const char *conninfo, struct error *err)
{
	const struct pg_options options = { .conninfo = conninfo,
		.program = "mqmail adminsrv",
		.is_writer = true,
		.has_pooler = true,
		.connect_ms = CONNECT_MS,
		.statement_ms = STATEMENT_MS };
	struct admins *admins = xcalloc(1, sizeof(*admins));

	pthread_mutex_init(&admins->lock, NULL);
	admins->pg = pg_new(&options, err);
	if (admins->pg == NULL)
		admins_free(&admins);
	return admins;
}

void
admins_free(struct admins **admins_in)
{
	struct admins *admins = *admins_in;

	if (admins == NULL)
		return;
	pg_free(&admins->pg);
	for (size_t i = 0; i < admins->known_count; i++)
		admin_release(&admins->known[i].admin);
	pthread_mutex_destroy(&admins->lock);
	free(admins);
	*admins_in = NULL;
}

/* With the lock. */
static enum pg_status
run_admin_sql(struct admins *admins, const char *sql, const char *const *params,
    size_t count, struct pg_result **result_out, struct error *err)
{
	const struct pg_statement statement = { NULL, sql };
	enum pg_status status;

	if (clock_ms() < admins->away_until_ms) {
		error_set(err, "the database is away");
		return PG_UNKNOWN;
	}
	status = pg_run(admins->pg, &statement, params, count, STATEMENT_MS,
	    result_out, err);
	if (status == PG_UNKNOWN)
		admins->away_until_ms = clock_ms() + AWAY_MS;
	return status;
}

/* -- who is known */

static struct known *
find_known(struct admins *admins, const char *name)
{
	for (size_t i = 0; i < admins->known_count; i++)
		if (strcmp(admins->known[i].admin.name, name) == 0)
			return &admins->known[i];
	return NULL;
}

static void
forget_known(struct admins *admins, const char *name)
{
	struct known *known = find_known(admins, name);

	if (known == NULL)
		return;
	admin_release(&known->admin);
	*known = admins->known[--admins->known_count];
}

static void
remember_admin(struct admins *admins, const struct admin *admin)
{
	struct known *known;

	forget_known(admins, admin->name);
	if (admins->known_count == KNOWN_MAX)
		return;
	known = &admins->known[admins->known_count++];
	admin_copy(admin, &known->admin);
	known->seen_ms = clock_ms();
}

static int
recall_admin(struct admins *admins, const char *name, struct admin *admin_out,
    int64_t *age_ms_out)
{
	const struct known *known = find_known(admins, name);

	if (known == NULL)
		return -1;
	admin_copy(&known->admin, admin_out);
	*age_ms_out = clock_ms() - known->seen_ms + 1;
	return 1;
}

/* -- what the database says */

static const char find_sql[] =
    "SELECT a.hash, a.is_active, coalesce(a.locked_until > now(), false), "
    "array_to_string(a.domains, ' '), r.program, r.pattern FROM mq.admins a "
    "LEFT JOIN mq.admin_rights r ON r.admin = a.name WHERE a.name = $1";

static void
take_admin(
    const struct pg_result *rows, const char *name, struct admin *admin_out)
{
	const char *at = pg_text(rows, 0, 3);

	*admin_out = (struct admin){ .name = xstrdup(name),
		.hash = xstrdup(pg_text(rows, 0, 0)),
		.is_active = pg_bool(rows, 0, 1),
		.is_locked = pg_bool(rows, 0, 2) };
	while (*at != '\0') {
		size_t length = strcspn(at, " ");

		strlist_addn(&admin_out->domains, at, length);
		at += length + strspn(at + length, " ");
	}
	for (size_t i = 0; i < pg_rows(rows); i++)
		if (pg_text(rows, i, 4) != NULL)
			admin_add_right(admin_out, pg_text(rows, i, 4),
			    pg_text(rows, i, 5));
}

int
admins_find(struct admins *admins, const char *name, struct admin *admin_out,
    int64_t *age_ms_out, struct error *err)
{
	AUTO(pg_result_free) struct pg_result *rows = NULL;
	enum pg_status status;
	int result = -1;

	*age_ms_out = 0;
	*admin_out = (struct admin){ .name = NULL };
	pthread_mutex_lock(&admins->lock);
	status = run_admin_sql(admins, find_sql, &name, 1, &rows, err);
	if (status == PG_UNKNOWN)
		result = recall_admin(admins, name, admin_out, age_ms_out);
	else if (status == PG_OK && pg_rows(rows) == 0) {
		forget_known(admins, name);
		result = 0;
	} else if (status == PG_OK) {
		take_admin(rows, name, admin_out);
		remember_admin(admins, admin_out);
		result = 1;
	}
	pthread_mutex_unlock(&admins->lock);
	return result;
}

/* What is not noted is only a count. */
static void
note_admin(struct admins *admins, const char *sql, const char *const *params,
    size_t count)
{
	struct error err;

	pthread_mutex_lock(&admins->lock);
	run_admin_sql(admins, sql, params, count, NULL, &err);
	pthread_mutex_unlock(&admins->lock);
}

void
admins_note_failure(
    struct admins *admins, const char *name, uint64_t most, uint64_t lock_s)
{
	OWN_TEXT most_text = xasprintf("%" PRIu64, most);
	OWN_TEXT lock_text = xasprintf("%" PRIu64, lock_s);
	const char *const params[] = { name, most_text, lock_text };

	note_admin(admins,
	    "UPDATE mq.admins SET failures = failures + 1, locked_until = "
	    "CASE WHEN $2::int > 0 AND failures + 1 >= $2::int "
	    "THEN now() + $3::int * interval '1 second' ELSE locked_until END "
	    "WHERE name = $1",
	    params, 3);
}

void
admins_note_login(struct admins *admins, const char *name)
{
	note_admin(admins,
	    "UPDATE mq.admins SET failures = 0, locked_until = NULL, "
	    "last_login = now() WHERE name = $1",
	    &name, 1);
}

int
admins_audit(
    struct admins *admins, const struct audit *audit, struct error *err)
{
	OWN_TEXT ms = xasprintf("%" PRId64, audit->ms);
	const char *const params[] = { audit->node, audit->who, audit->from_ip,
		audit->what, audit->args, audit->result, ms };
	enum pg_status status;

	pthread_mutex_lock(&admins->lock);
	status = run_admin_sql(admins,
	    "INSERT INTO mq.audit (node, who, from_ip, what, args, result, ms) "
	    "VALUES ($1, $2, $3, $4, $5, $6, $7::bigint)",
	    params, sizeof(params) / sizeof(params[0]), NULL, err);
	pthread_mutex_unlock(&admins->lock);
	return status == PG_OK ? 0 : -1;
}

int
admins_ping(struct admins *admins, struct error *err)
{
	enum pg_status status;

	pthread_mutex_lock(&admins->lock);
	status = run_admin_sql(admins, "SELECT 1", NULL, 0, NULL, err);
	pthread_mutex_unlock(&admins->lock);
	return status == PG_OK ? 0 : -1;
}

int
admins_query_json(
    struct admins *admins, const char *sql, struct buf *json, struct error *err)
{
	AUTO(pg_result_free) struct pg_result *rows = NULL;
	OWN_TEXT whole = xasprintf("SELECT coalesce(json_agg(row_to_json(r)), "
				   "'[]') FROM (%s) r",
	    sql);
	enum pg_status status;

	pthread_mutex_lock(&admins->lock);
	status = run_admin_sql(admins, whole, NULL, 0, &rows, err);
	pthread_mutex_unlock(&admins->lock);
	if (status != PG_OK)
		return -1;
	buf_adds(json, pg_text(rows, 0, 0));
	return 0;
}
