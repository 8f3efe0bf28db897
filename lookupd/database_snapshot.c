/* SPDX-License-Identifier: ISC */
/* Writes the snapshot: all that the database has, of one moment. */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "lookupd/database_private.h"

enum { RETRY_MS = 10000, FETCH_MS = 15000, TICK_MS = 200 };

/* What is written of each kind: name, domain, then the record's columns. */
struct part {
	enum query_kind kind;
	const char *declare;
};

#define STORE_LIMIT(name) ", l." #name
static const struct part parts[] = {
	{ QUERY_PASSWORD,
	    "DECLARE c NO SCROLL CURSOR FOR SELECT u.name, d.name, "
	    PASSWORD_COLUMN_LIST
#include "lookupd/limits.tbl"
	    " FROM mq.users u JOIN mq.domains d ON d.id = u.domain_id "
	    USER_STORE "LEFT JOIN mq.limits l ON l.domain_id = d.id AND l.user_name = ''" },
	{ QUERY_ALIAS,
	    "DECLARE c NO SCROLL CURSOR FOR SELECT a.name, d.name, a.line "
	    "FROM mq.aliases a JOIN mq.domains d ON d.id = a.domain_id "
	    "ORDER BY a.domain_id, a.name, a.created, a.line" },
	{ QUERY_LIMITS,
	    "DECLARE c NO SCROLL CURSOR FOR SELECT l.user_name, d.name"
#include "lookupd/limits.tbl"
	    " FROM mq.limits l JOIN mq.domains d ON d.id = l.domain_id" },
	{ QUERY_FILTERS,
	    "DECLARE c NO SCROLL CURSOR FOR SELECT f.user_name, d.name, "
	    FILTER_COLUMN_LIST
	    " FROM mq.filters f JOIN mq.domains d ON d.id = f.domain_id "
	    "ORDER BY f.domain_id, f.user_name, f.number" },
	{ QUERY_DOMAIN,
	    "DECLARE c NO SCROLL CURSOR FOR SELECT '', d.name, d.name FROM "
	    "mq.domains d UNION ALL SELECT '', a.name, d.name FROM "
	    "mq.domain_aliases a JOIN mq.domains d ON d.id = a.domain_id" },
	{ QUERY_PLACE,
	    "DECLARE c NO SCROLL CURSOR FOR SELECT '', d.name, "
	    PLACE_COLUMN_LIST "FROM mq.domains d " DOMAIN_PLACE },
};
#undef STORE_LIMIT

static const struct pg_statement fetch_rows = { NULL, "FETCH 5000 FROM c" };

/* Rows of one key stand together: the record that is being made. */
struct gathered {
	struct snapshot_writer *writer;
	enum query_kind kind;
	struct buf local, domain, record;
};

static int
write_record(struct gathered *gathered, struct error *err)
{
	size_t length = gathered->record.length;
	int result = 0;

	/* What no packet holds nobody could be told. */
	if (length > 0 && length <= QUERY_RECORD_MAX)
		result = snapshot_writer_add(gathered->writer, gathered->kind,
		    gathered->local.data, gathered->domain.data,
		    gathered->record.data, length, err);
	buf_reset(&gathered->record);
	return result;
}

static void
set_text(struct buf *buf, const char *text)
{
	buf_reset(buf);
	buf_adds(buf, text);
}

static void
add_row(struct gathered *gathered, const struct pg_result *result, size_t row)
{
	struct store_limits limits;
	const char *text;

	switch (gathered->kind) {
	case QUERY_PASSWORD:
		database_get_limits(
		    result, row, 2 + PASSWORD_COLUMNS, &limits);
		database_put_password(&gathered->record, result, row, 2,
		    store_limits_flags(&limits));
		break;
	case QUERY_LIMITS:
		database_get_limits(result, row, 2, &limits);
		query_put_limits(&gathered->record, &limits);
		break;
	case QUERY_FILTERS:
		database_put_filter(&gathered->record, result, row, 2);
		break;
	case QUERY_PLACE:
		database_put_place(&gathered->record, result, row, 2);
		break;
	case QUERY_USER:
	case QUERY_ALIAS:
	case QUERY_DOMAIN:
	case QUERY_RELAY:
	case QUERY_LOGIN:
	case QUERY_STATS:
	case QUERY_KIND_COUNT:
		text = pg_text(result, row, 2);
		buf_add(&gathered->record, text, strlen(text) + 1);
		break;
	}
}

static int
write_rows(struct gathered *gathered, const struct pg_result *result,
    struct error *err)
{
	for (size_t row = 0; row < pg_rows(result); row++) {
		const char *local = pg_text(result, row, 0);
		const char *domain = pg_text(result, row, 1);

		if (strcmp(gathered->local.data, local) != 0 ||
		    strcmp(gathered->domain.data, domain) != 0) {
			if (write_record(gathered, err) == -1)
				return -1;
			set_text(&gathered->local, local);
			set_text(&gathered->domain, domain);
		}
		add_row(gathered, result, row);
	}
	return 0;
}

/* All rows of one kind.  0 or -1. */
static int
write_part(struct database *database, struct pg *pg,
    struct snapshot_writer *writer, const struct part *part, struct error *err)
{
	struct gathered gathered = { .writer = writer, .kind = part->kind };
	int result = pg_script(pg, part->declare, FETCH_MS, err) == PG_OK ? 0
									  : -1;
	bool is_over = false;

	buf_init(&gathered.local);
	buf_init(&gathered.domain);
	buf_init(&gathered.record);
	while (result == 0 && !is_over) {
		AUTO(pg_result_free) struct pg_result *rows = NULL;

		if (database->is_stopping)
			result = error_set(err, "lookupd ends");
		else if (pg_run(pg, &fetch_rows, NULL, 0, FETCH_MS, &rows,
			     err) != PG_OK)
			result = -1;
		else {
			is_over = pg_rows(rows) == 0;
			result = write_rows(&gathered, rows, err);
		}
	}
	if (result == 0)
		result = write_record(&gathered, err);
	if (result == 0 &&
	    pg_script(pg, "CLOSE c", FETCH_MS, err) != PG_OK)
		result = -1;
	buf_release(&gathered.local);
	buf_release(&gathered.domain);
	explicit_bzero(gathered.record.data, gathered.record.length);
	buf_release(&gathered.record);
	return result;
}

static int
write_parts(struct database *database, struct pg *pg,
    struct snapshot_writer *writer, struct error *err)
{
	if (pg_begin(pg, err) != PG_OK ||
	    pg_script(pg, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
		FETCH_MS, err) != PG_OK)
		return -1;
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (write_part(database, pg, writer, &parts[i], err) == -1)
			return -1;
	return 0;
}

/* 0, and the loop is given the new one; or -1. */
static int
make_snapshot(struct database *database, struct pg *pg, struct error *err)
{
	struct snapshot_writer *writer = snapshot_writer_new(
	    database->folder, err);
	struct snapshot *snapshot = NULL;
	int64_t at_s = time(NULL), start_ms = clock_ms();
	int result;

	if (writer == NULL)
		return -1;
	result = write_parts(database, pg, writer, err);
	pg_rollback(pg); /* nothing was changed */
	if (result == -1)
		snapshot_writer_abort(&writer);
	else
		result = snapshot_writer_commit(&writer, at_s, err);
	if (result == -1 ||
	    snapshot_open(database->folder, &snapshot, err) != 1)
		return -1;
	database->snapshot_took_ms = clock_ms() - start_ms;
	log_line("status: snapshot of %" PRIu64 " records in %" PRId64 " ms",
	    snapshot_records(snapshot), database->snapshot_took_ms);
	pthread_mutex_lock(&database->lock);
	snapshot_free(&database->made);
	database->made = snapshot;
	pthread_mutex_unlock(&database->lock);
	database_wake(database);
	return 0;
}

/* Waits until it is time, somebody wants one, or the end: then false. */
static bool
wait_for_turn(struct database *database, int64_t at_ms)
{
	bool is_wanted = false;

	while (!database->is_stopping && clock_ms() < at_ms && !is_wanted) {
		pthread_mutex_lock(&database->lock);
		is_wanted = database->wants_snapshot;
		database->wants_snapshot = false;
		pthread_mutex_unlock(&database->lock);
		if (!is_wanted)
			database_pause(database, TICK_MS);
	}
	return !database->is_stopping;
}

/* When the next is due, by clock_ms(): at once, if there is none. */
static int64_t
first_turn_ms(struct database *database, int64_t interval_ms)
{
	struct snapshot *snapshot;
	struct error ignored;
	int64_t age_ms;

	if (snapshot_open(database->folder, &snapshot, &ignored) != 1)
		return 0;
	age_ms = (time(NULL) - snapshot_at_s(snapshot)) * 1000;
	snapshot_free(&snapshot);
	return clock_ms() + interval_ms - age_ms;
}

void *
database_keep_snapshot(void *context)
{
	struct database *database = context;
	int64_t interval_ms = (int64_t)database->snapshot_s * 1000;
	int64_t at_ms = first_turn_ms(database, interval_ms);
	struct error err;
	struct pg *pg = database_reader_new(database, FETCH_MS, &err);

	while (pg != NULL && wait_for_turn(database, at_ms)) {
		if (pg_connect(pg, database->statement_ms, &err) != PG_OK) {
			at_ms = clock_ms() + RETRY_MS / 10;
			continue;
		}
		database->makes_snapshot = true;
		if (make_snapshot(database, pg, &err) == 0)
			at_ms = clock_ms() + interval_ms;
		else if (!database->is_stopping) {
			log_line("warning: cannot make a snapshot: %s",
			    err.text);
			at_ms = clock_ms() + RETRY_MS;
		}
		database->makes_snapshot = false;
		pg_drop(pg); /* it is not used for long */
	}
	pg_free(&pg);
	return NULL;
}
