/* SPDX-License-Identifier: ISC */
/*
 * Follows the change log of the database.
 *
 * LISTEN comes first, then the log is read; so what is notified in between is
 * in it.  The log is read on a notification, and every few seconds without one:
 * neither a lost notification nor a lost connection loses a change.  What is
 * read are all rows since the oldest transaction that was open at the last
 * reading (schema/001.sql): commits that overlap are not missed.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/test_time.h"
#include "lookupd/database_private.h"

enum {
	LOOK_MS = 3000,     /* between readings of the log */
	CHANGES_MAX = 20000, /* of more at once nobody needs the names */
	RETRY_MS = 500
};

/*
 * One snapshot shows the rows, since when to read the next time, and whether
 * rows that were to be read are gone.  The timeline changes when a standby takes
 * over: what it never got may have been undone.  How far the log is inserted, not
 * written: a commit that waits for no write is in it.
 */
static const struct pg_statement read_log = { "read_log",
	"SELECT pg_snapshot_xmin(pg_current_snapshot()), "
	"$1::xid8 <= (SELECT xid FROM mq.changes_floor), "
	"left(pg_walfile_name(pg_current_wal_lsn()), 8), "
	"pg_current_wal_insert_lsn() - '0/0'::pg_lsn, c.seq, c.kind, c.domain, "
	"c.name, pg_backend_pid() "
	"FROM (SELECT 1) s LEFT JOIN "
	"(SELECT seq, kind, domain, name FROM mq.changes WHERE xid >= $1::xid8 "
	"ORDER BY seq LIMIT 20001) c ON true" };

struct follower {
	struct database *database;
	struct pg *pg;
	char xmin[24];     /* ""; nothing was read yet */
	char timeline[16];
	int64_t backend; /* the process of the session that listens */
	int64_t *seen; /* the numbers of the rows of the last reading */
	size_t seen_count;
};

static struct change *
change_new(enum change_kind kind)
{
	struct change *change = xcalloc(1, sizeof(*change));

	change->change = kind;
	return change;
}

void
change_free(struct change *change)
{
	free(change->domain);
	free(change->name);
	free(change);
}

/* A row of the log. */
static struct change *
change_of_row(const struct pg_result *result, size_t row)
{
	static const struct {
		const char *name;
		enum query_kind kind;
	} kinds[] = { { "user", QUERY_USER }, { "alias", QUERY_ALIAS },
		{ "limits", QUERY_LIMITS }, { "filters", QUERY_FILTERS } };
	const char *kind = pg_text(result, row, 5);
	const char *name = pg_text(result, row, 7);
	struct change *change = change_new(CHANGE_DOMAIN);

	change->domain = xstrdup(pg_text(result, row, 6));
	change->name = xstrdup(name);
	/* Which node serves it, and its epoch, is in the records of its users. */
	if (strcmp(kind, "store") == 0)
		change->change = CHANGE_ALL;
	/* A domain's limits are in the passwords of its users. */
	for (size_t i = 0; *name != '\0' && i < sizeof(kinds) / sizeof(kinds[0]);
	     i++)
		if (strcmp(kind, kinds[i].name) == 0) {
			change->change = CHANGE_KEY;
			change->kind = kinds[i].kind;
		}
	return change;
}

static int
compare_seqs(const void *a, const void *b)
{
	const int64_t *one = a, *other = b;

	return (*one > *other) - (*one < *other);
}

static bool
was_seen(const struct follower *follower, int64_t seq)
{
	return follower->seen_count > 0 &&
	    bsearch(&seq, follower->seen, follower->seen_count, sizeof(seq),
		compare_seqs) != NULL;
}

static void
hand_over(struct database *database, struct change_list *changes)
{
	pthread_mutex_lock(&database->lock);
	STAILQ_CONCAT(&database->changes, changes);
	pthread_mutex_unlock(&database->lock);
}

/* Takes the rows up; they are in the order of their numbers. */
static void
take_rows(struct follower *follower, const struct pg_result *result,
    bool is_all_unknown)
{
	size_t count = pg_text(result, 0, 4) == NULL ? 0 : pg_rows(result);
	int64_t *seen = xcalloc(count + 1, sizeof(*seen));
	struct change_list changes = STAILQ_HEAD_INITIALIZER(changes);
	struct change *change;
	uint64_t fresh = 0;

	if (is_all_unknown || count > CHANGES_MAX) {
		change = change_new(CHANGE_ALL);
		STAILQ_INSERT_TAIL(&changes, change, link);
		is_all_unknown = true;
	}
	for (size_t row = 0; row < count; row++) {
		seen[row] = pg_number(result, row, 4);
		if (was_seen(follower, seen[row]))
			continue;
		fresh++;
		if (is_all_unknown)
			continue;
		change = change_of_row(result, row);
		STAILQ_INSERT_TAIL(&changes, change, link);
	}
	free(follower->seen);
	follower->seen = seen;
	follower->seen_count = count;
	follower->database->change_count += fresh;
	/* Before the loop hears of it. */
	if (fresh > 0 || is_all_unknown)
		follower->database->changed_lsn =
		    (uint64_t)pg_number(result, 0, 3);
	hand_over(follower->database, &changes);
}

static enum pg_status
look_into_log(struct follower *follower, struct error *err)
{
	struct database *database = follower->database;
	bool is_first = *follower->xmin == '\0';
	AUTO(pg_result_free) struct pg_result *result = NULL;
	enum pg_status status;
	bool is_lost;

	/* A connection that was made anew meanwhile would not listen. */
	status = pg_run(follower->pg, &read_log,
	    (const char *const[]){
		is_first ? "18446744073709551615" : follower->xmin },
	    1, database->statement_ms, &result, err);
	if (status == PG_OK && follower->backend != 0 &&
	    pg_number(result, 0, 8) != follower->backend) {
		error_set(err, "the connection was lost");
		status = PG_UNKNOWN;
	}
	if (status != PG_OK)
		return status;
	follower->backend = pg_number(result, 0, 8);
	is_lost = is_first || pg_bool(result, 0, 1) ||
	    strcmp(pg_text(result, 0, 2), follower->timeline) != 0 ||
	    strtoull(pg_text(result, 0, 0), NULL, 10) <
		strtoull(follower->xmin, NULL, 10);
	if (is_lost && !is_first)
		log_line("warning: the change log cannot be followed from where "
			 "it was left: all that is remembered is read again");
	take_rows(follower, result, is_lost);
	snprintf(follower->xmin, sizeof(follower->xmin), "%s",
	    pg_text(result, 0, 0));
	snprintf(follower->timeline, sizeof(follower->timeline), "%s",
	    pg_text(result, 0, 2));
	database->followed_at_ms = clock_ms();
	database_wake(database);
	return PG_OK;
}

/* Connects, and reads what was missed. */
static enum pg_status
begin_to_follow(struct follower *follower, struct error *err)
{
	struct database *database = follower->database;
	enum pg_status status = pg_connect(
	    follower->pg, database->statement_ms, err);

	follower->backend = 0;
	if (status == PG_OK)
		status = pg_script(follower->pg, "LISTEN mq_changes",
		    database->statement_ms, err);
	return status == PG_OK ? look_into_log(follower, err) : status;
}

/* Until the connection is lost, or all is to end. */
static void
follow_on(struct follower *follower, struct error *err)
{
	struct database *database = follower->database;
	int look_ms = (int)test_time_ms("LOOKUP_LOOK_MS", LOOK_MS);

	while (!database->is_stopping) {
		if (pg_wait_notify(follower->pg, database->follow_fd, look_ms,
			err) == -1 ||
		    database->is_stopping)
			break;
		if (look_into_log(follower, err) != PG_OK)
			break;
	}
}

void *
database_follow(void *context)
{
	struct database *database = context;
	struct follower follower = { .database = database };
	struct error err = { "" };

	follower.pg = database_listener_new(database, &err);
	while (follower.pg != NULL && !database->is_stopping) {
		enum pg_status status = begin_to_follow(&follower, &err);

		/* Where readers may ask others, they know. */
		if (!database->has_standbys)
			database_note(database, status, follower.pg, &err);
		if (status == PG_OK) {
			follow_on(&follower, &err);
			if (!database->is_stopping)
				log_line("warning: the change log is not "
					 "followed for now: %s",
				    err.text);
		}
		database->followed_at_ms = 0;
		pg_drop(follower.pg);
		database_pause(database, RETRY_MS);
	}
	pg_free(&follower.pg);
	free(follower.seen);
	return NULL;
}
