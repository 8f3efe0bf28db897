/* SPDX-License-Identifier: ISC */
/* Aliases, limits and filters in the database. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "adminsrv/database.h"
#include "adminsrv/records_backend.h"
#include "adminsrv/users_backend.h"
#include "base/mem.h"

enum { NUMBER_SIZE = 24 };

/* The limits' columns, in the order of enum store_limit. */
static const char limit_columns[] =
#define STORE_LIMIT(name) ", " #name
#include "lookupd/limits.tbl"
#undef STORE_LIMIT
    ;

static int
db_find_alias(struct users *users, const char *name, struct strlist *lines,
    struct error *err)
{
	return users_pg_texts(users,
	    "SELECT line FROM mq.aliases "
	    "WHERE domain_id = $1 AND name = $2 ORDER BY created, line",
	    name, lines, err);
}

static int
db_alias_names(struct users *users, struct strlist *names, struct error *err)
{
	return users_pg_texts(users,
		   "SELECT DISTINCT name FROM mq.aliases WHERE domain_id = $1",
		   NULL, names, err) == -1
	    ? -1
	    : 0;
}

/* Lines that stay keep their time, and so their place. */
static enum admin_result
db_put_alias(struct users *users, const char *name, const struct strlist *lines,
    struct error *err)
{
	AUTO(buf_release) struct buf array = BUF_INIT;
	const char *id;
	struct pg *pg = users_pg_connection(users, &id);
	enum pg_status status = pg_begin(pg, err);

	pg_array(&array, (const char *const *)lines->items, lines->count);
	if (status == PG_OK)
		status = database_run(pg, NULL, err,
		    "DELETE FROM mq.aliases WHERE domain_id = $1 "
		    "AND name = $2 AND line <> ALL($3::text[])",
		    id, name, array.data, NULL);
	if (status == PG_OK)
		status = database_run(pg, NULL, err,
		    "INSERT INTO mq.aliases (domain_id, name, line, created) "
		    "SELECT $1, $2, l.line, clock_timestamp() + "
		    "l.place * interval '1 us' "
		    "FROM unnest($3::text[]) WITH ORDINALITY AS l(line, place) "
		    "ON CONFLICT DO NOTHING",
		    id, name, array.data, NULL);
	return users_pg_end(users, status, err);
}

static int
db_find_limits(struct users *users, const char *name,
    struct store_limits *limits_out, struct error *err)
{
	AUTO(pg_result_free) struct pg_result *result = NULL;
	const char *id;
	struct pg *pg = users_pg_connection(users, &id);
	OWN_TEXT sql = xasprintf("SELECT user_name%s FROM mq.limits "
				 "WHERE domain_id = $1 AND user_name = $2",
	    limit_columns);

	if (database_run(pg, &result, err, sql, id, name == NULL ? "" : name,
		NULL) != PG_OK)
		return -1;
	if (pg_rows(result) == 0)
		return 0;
	for (size_t i = 0; i < STORE_LIMIT_COUNT; i++) {
		limits_out->has[i] = pg_text(result, 0, i + 1) != NULL;
		limits_out->values[i] = pg_number(result, 0, i + 1);
	}
	return 1;
}

static enum pg_status
insert_limits(struct pg *pg, const char *id, const char *name,
    const struct store_limits *limits, struct error *err)
{
	char numbers[STORE_LIMIT_COUNT][NUMBER_SIZE];
	const char *params[STORE_LIMIT_COUNT + 2] = { id, name };
	AUTO(buf_release) struct buf sql = BUF_INIT;
	struct pg_statement statement = { NULL, NULL };

	buf_addf(&sql,
	    "INSERT INTO mq.limits (domain_id, user_name%s) VALUES ($1, $2",
	    limit_columns);
	for (size_t i = 0; i < STORE_LIMIT_COUNT; i++) {
		snprintf(numbers[i], sizeof(numbers[i]), "%" PRId64,
		    limits->values[i]);
		params[i + 2] = limits->has[i] ? numbers[i] : NULL;
		buf_addf(&sql, ", $%zu", i + 3);
	}
	buf_addc(&sql, ')');
	statement.sql = sql.data;
	return pg_run(pg, &statement, params, STORE_LIMIT_COUNT + 2,
	    DATABASE_MS, NULL, err);
}

static enum admin_result
db_put_limits(struct users *users, const char *name,
    const struct store_limits *limits, struct error *err)
{
	const char *id, *user = name == NULL ? "" : name;
	struct pg *pg = users_pg_connection(users, &id);
	enum pg_status status = pg_begin(pg, err);

	if (status == PG_OK)
		status = database_run(pg, NULL, err,
		    "DELETE FROM mq.limits WHERE domain_id = $1 "
		    "AND user_name = $2",
		    id, user, NULL);
	if (status == PG_OK && limits != NULL)
		status = insert_limits(pg, id, user, limits, err);
	return users_pg_end(users, status, err);
}

static const char *
keep_text(struct buf *storage, const char *text)
{
	size_t at = storage->length;

	buf_add(storage, text, strlen(text) + 1);
	return storage->data + at;
}

static size_t
text_bytes(const struct pg_result *result)
{
	size_t bytes = 0;

	for (size_t row = 0; row < pg_rows(result); row++)
		for (size_t column = 0; column < 7; column++)
			bytes += pg_length(result, row, column) + 1;
	return bytes;
}

static int
db_find_filters(struct users *users, const char *name,
    struct store_filters *filters_out, struct error *err)
{
	AUTO(pg_result_free) struct pg_result *result = NULL;
	const char *id;
	struct pg *pg = users_pg_connection(users, &id);
	struct buf *storage = &filters_out->storage;

	if (database_run(pg, &result, err,
		"SELECT number, name, header, comparison, keyword, "
		"destination, bounce_action FROM mq.filters "
		"WHERE domain_id = $1 AND user_name = $2 ORDER BY number",
		id, name, NULL) != PG_OK)
		return -1;
	buf_init(storage);
	buf_reserve(storage, text_bytes(result)); /* so that texts stay */
	filters_out->items = xcalloc(
	    pg_rows(result) + 1, sizeof(*filters_out->items));
	for (size_t i = 0; i < pg_rows(result); i++)
		filters_out
		    ->items[filters_out->count++] = (struct store_filter){
			.number = (int)pg_number(result, i, 0),
			.name = keep_text(storage, pg_text(result, i, 1)),
			.header = (int)pg_number(result, i, 2),
			.comparison = (int)pg_number(result, i, 3),
			.keyword = keep_text(storage, pg_text(result, i, 4)),
			.destination = keep_text(
			    storage, pg_text(result, i, 5)),
			.bounce_action = keep_text(
			    storage, pg_text(result, i, 6)),
		};
	return filters_out->count > 0;
}

static enum pg_status
insert_filter(struct pg *pg, const char *id, const char *name,
    const struct store_filter *filter, struct error *err)
{
	char number[NUMBER_SIZE], header[NUMBER_SIZE], comparison[NUMBER_SIZE];

	snprintf(number, sizeof(number), "%d", filter->number);
	snprintf(header, sizeof(header), "%d", filter->header);
	snprintf(comparison, sizeof(comparison), "%d", filter->comparison);
	return database_run(pg, NULL, err,
	    "INSERT INTO mq.filters (domain_id, user_name, number, name, "
	    "header, comparison, keyword, destination, bounce_action) "
	    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
	    id, name, number, filter->name, header, comparison, filter->keyword,
	    filter->destination, filter->bounce_action, NULL);
}

static enum admin_result
db_put_filters(struct users *users, const char *name,
    const struct store_filter *filters, size_t count, struct error *err)
{
	const char *id;
	struct pg *pg = users_pg_connection(users, &id);
	enum pg_status status = pg_begin(pg, err);

	if (status == PG_OK)
		status = database_run(pg, NULL, err,
		    "DELETE FROM mq.filters WHERE domain_id = $1 "
		    "AND user_name = $2",
		    id, name, NULL);
	for (size_t i = 0; status == PG_OK && i < count; i++)
		status = insert_filter(pg, id, name, &filters[i], err);
	return users_pg_end(users, status, err);
}

static int
db_owner_names(struct users *users, struct strlist *names, struct error *err)
{
	return users_pg_texts(users,
		   "SELECT user_name FROM mq.filters WHERE domain_id = $1 "
		   "UNION SELECT user_name FROM mq.limits "
		   "WHERE domain_id = $1 AND user_name <> ''",
		   NULL, names, err) == -1
	    ? -1
	    : 0;
}

const struct records_backend records_pg = {
	.find_alias = db_find_alias,
	.alias_names = db_alias_names,
	.put_alias = db_put_alias,
	.find_limits = db_find_limits,
	.put_limits = db_put_limits,
	.owner_names = db_owner_names,
	.find_filters = db_find_filters,
	.put_filters = db_put_filters,
};
