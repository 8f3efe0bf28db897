/* SPDX-License-Identifier: ISC */
/* lookupd's threads that ask PostgreSQL. */
#include "lookupd/database.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/signals.h"
#include "lookupd/database_private.h"

enum {
	RETRY_MS = 200,     /* between attempts to connect again */
	SPOOL_TRY_MS = 2000, /* between attempts to apply the spool */
	STANDBY_MS = 5000, /* a standby that did not answer is left alone */
	PRIMARY_MS = 500  /* and so is the primary, where there are standbys */
};

/* -- what threads share */

static void
wake_fd(int fd)
{
	const uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) == -1)
		return; /* it is readable already */
}

void
database_wake(struct database *database)
{
	wake_fd(database->done_fd);
}

bool
database_pause(struct database *database, int ms)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += ms % 1000 * 1000000L;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000L;
	}
	pthread_mutex_lock(&database->lock);
	while (!database->is_stopping &&
	    pthread_cond_timedwait(
		&database->wanted, &database->lock, &until) != ETIMEDOUT)
		continue;
	pthread_mutex_unlock(&database->lock);
	return !database->is_stopping;
}

/*
 * The server gives up with us what it does for us: a connection that is dropped
 * ends no statement there.
 */
static struct pg *
new_connection(const struct database *database, const char *conninfo,
    bool is_writer, bool has_pooler, int statement_ms, struct error *err)
{
	const struct pg_options options = {
		.conninfo = conninfo,
		.program = "lookupd",
		.is_writer = is_writer,
		.has_pooler = has_pooler,
		.connect_ms = database->statement_ms,
		.statement_ms = statement_ms,
	};

	return pg_new(&options, err);
}

struct pg *
database_reader_new(
    struct database *database, int statement_ms, struct error *err)
{
	return new_connection(database, database->read_conninfo, false,
	    database->has_pooler, statement_ms, err);
}

struct pg *
database_writer_new(struct database *database, struct error *err)
{
	return new_connection(database, database->conninfo, true,
	    database->has_pooler, database->statement_ms, err);
}

struct pg *
database_listener_new(struct database *database, struct error *err)
{
	return new_connection(database, database->listen_conninfo, true, false,
	    database->statement_ms, err);
}

void
database_note(struct database *database, enum pg_status status,
    const struct pg *pg, const struct error *err)
{
	enum database_health health = status == PG_OK ? DATABASE_UP
						      : DATABASE_AWAY;
	bool is_news;

	if (status == PG_OK && database->health == DATABASE_UP)
		return;
	pthread_mutex_lock(&database->lock);
	is_news = database->health != health;
	if (is_news)
		database->health_since_ms = clock_ms();
	database->health = health;
	database->reason = status == PG_OK ? (struct error){ "" } : *err;
	if (status == PG_OK)
		snprintf(database->host, sizeof(database->host), "%s",
		    pg_host(pg));
	pthread_mutex_unlock(&database->lock);
	if (!is_news)
		return;
	if (status == PG_OK)
		log_line("status: the database answers");
	else
		log_line("alert: the database is away: %s", err->text);
	database_wake(database);
}

/* -- readers */

/* As many as one statement asks for. */
static size_t
take_batch(struct fetch_list *list, struct fetch **fetches)
{
	size_t count = 0;

	while (count < FETCH_BATCH && !TAILQ_EMPTY(list)) {
		fetches[count] = TAILQ_FIRST(list);
		TAILQ_REMOVE(list, fetches[count], link);
		count++;
	}
	return count;
}

/* The next questions of one kind, in turn; 0: the threads are to end. */
static size_t
take_waiting(
    struct database *database, struct fetch **fetches, unsigned *turn)
{
	size_t count = 0;
	unsigned tried = 0;

	pthread_mutex_lock(&database->lock);
	while (count == 0 && !database->is_stopping) {
		unsigned kind = *turn % QUERY_KIND_COUNT;
		struct fetch_list *list = &database->waiting[kind];

		++*turn;
		if (kind == QUERY_LOGIN || TAILQ_EMPTY(list)) {
			if (++tried == QUERY_KIND_COUNT) {
				pthread_cond_wait(
				    &database->asked, &database->lock);
				tried = 0;
			}
			continue;
		}
		count = take_batch(list, fetches);
	}
	pthread_mutex_unlock(&database->lock);
	return count;
}

static void
hand_back(struct database *database, struct fetch **fetches, size_t count)
{
	bool was_empty;

	pthread_mutex_lock(&database->lock);
	was_empty = TAILQ_EMPTY(&database->done);
	for (size_t i = 0; i < count; i++)
		TAILQ_INSERT_TAIL(&database->done, fetches[i], link);
	pthread_mutex_unlock(&database->lock);
	if (was_empty)
		database_wake(database);
}

static void
set_unknown(struct fetch **fetches, size_t count, const char *reason)
{
	for (size_t i = 0; i < count; i++) {
		fetches[i]->state = QUERY_UNKNOWN;
		fetches[i]->source = QUERY_FROM_NOWHERE;
		buf_reset(&fetches[i]->record);
		buf_adds(&fetches[i]->record, reason);
	}
}

/* What a reader's server is. */
enum reader_server {
	READER_PRIMARY,
	READER_STANDBY,
	READER_BEHIND, /* a standby that has not all that the change log told */
	READER_AWAY
};

struct reader {
	struct database *database;
	struct pg *pg;      /* perhaps to a standby, if there are any */
	struct pg *primary; /* where a standby does not do */
	int64_t standby_at_ms; /* when to ask pg again */
};

/*
 * A standby may be behind: its answers count when it has all that the change log
 * told, and only if they are rows.
 */
static const struct pg_statement ask_standby = { "ask_standby",
	"SELECT pg_is_in_recovery() AND coalesce(pg_last_wal_replay_lsn() - "
	"'0/0'::pg_lsn < $1::numeric, true), pg_is_in_recovery()" };

static enum reader_server
judge_reader(struct reader *reader, struct error *err)
{
	struct database *database = reader->database;
	AUTO(pg_result_free) struct pg_result *result = NULL;
	char lsn[24];

	if (!database->has_standbys)
		return READER_PRIMARY;
	if (clock_ms() < reader->standby_at_ms)
		return READER_AWAY;
	snprintf(lsn, sizeof(lsn), "%" PRIu64, database->changed_lsn);
	if (pg_run(reader->pg, &ask_standby, (const char *const[]){ lsn }, 1,
		database->statement_ms, &result, err) != PG_OK) {
		reader->standby_at_ms = clock_ms() + STANDBY_MS;
		return READER_AWAY;
	}
	if (pg_bool(result, 0, 0))
		return READER_BEHIND;
	return pg_bool(result, 0, 1) ? READER_STANDBY : READER_PRIMARY;
}

/*
 * Asks the primary.  While it is away one reader at a time tries it, and the
 * others go on with what standbys know.
 */
static enum pg_status
read_primary(struct reader *reader, struct fetch **fetches, size_t count,
    struct error *err)
{
	struct database *database = reader->database;
	int64_t at_ms = database->primary_at_ms, now_ms = clock_ms();
	enum pg_status status;

	if (at_ms != 0 &&
	    (now_ms < at_ms ||
		!atomic_compare_exchange_strong(&database->primary_at_ms,
		    &at_ms, now_ms + database->statement_ms))) {
		error_set(err, "the primary does not answer");
		return PG_UNKNOWN;
	}
	status = database_read(database, reader->primary, fetches, count, err);
	database->primary_at_ms = status == PG_OK ? 0 : clock_ms() + PRIMARY_MS;
	return status;
}

/*
 * Those that a standby has no rows of are asked for once more; without the
 * primary nobody knows of them, and only of them.
 */
static void
read_absent_again(struct reader *reader, struct fetch **fetches, size_t count)
{
	struct fetch *absent[FETCH_BATCH];
	size_t absent_count = 0;
	struct error err;

	for (size_t i = 0; i < count; i++)
		if (fetches[i]->state == QUERY_ABSENT)
			absent[absent_count++] = fetches[i];
	if (absent_count > 0 &&
	    read_primary(reader, absent, absent_count, &err) != PG_OK)
		set_unknown(absent, absent_count, err.text);
}

/* Without the primary: who was there is served. */
static enum pg_status
read_behind(struct reader *reader, struct fetch **fetches, size_t count,
    struct error *err)
{
	struct error reason = *err;
	enum pg_status status = database_read(
	    reader->database, reader->pg, fetches, count, err);

	for (size_t i = 0; status == PG_OK && i < count; i++) {
		fetches[i]->is_behind = true;
		if (fetches[i]->state == QUERY_ABSENT)
			set_unknown(&fetches[i], 1, reason.text);
	}
	return status;
}

static enum pg_status
read_fetches(struct reader *reader, struct fetch **fetches, size_t count,
    struct error *err)
{
	enum reader_server server = judge_reader(reader, err);
	enum pg_status status = PG_UNKNOWN;

	if (server == READER_PRIMARY || server == READER_STANDBY)
		status = database_read(
		    reader->database, reader->pg, fetches, count, err);
	if (status == PG_OK && server == READER_STANDBY)
		read_absent_again(reader, fetches, count);
	if (status != PG_OK && reader->database->has_standbys)
		status = read_primary(reader, fetches, count, err);
	if (status != PG_OK && server == READER_BEHIND)
		status = read_behind(reader, fetches, count, err);
	if (status != PG_OK)
		set_unknown(fetches, count, err->text);
	return status;
}

/* Is there a server again that does? */
static enum pg_status
connect_reader(struct reader *reader, struct error *err)
{
	int timeout_ms = reader->database->statement_ms;

	if (!reader->database->has_standbys)
		return pg_connect(reader->pg, timeout_ms, err);
	return judge_reader(reader, err) != READER_AWAY
	    ? PG_OK
	    : pg_connect(reader->primary, timeout_ms, err);
}

/* After a failure: until the database can be reached, or the end. */
static void
wait_for_database(struct reader *reader, struct error *err)
{
	struct database *database = reader->database;
	enum pg_status status;

	while (database_pause(database, RETRY_MS)) {
		status = connect_reader(reader, err);
		if (status == PG_OK) {
			database_note(database, status, reader->pg, err);
			return;
		}
		/* Another thread may have found it. */
		if (database->health == DATABASE_UP)
			return;
	}
}

static void *
run_reader(void *context)
{
	struct database *database = context;
	struct fetch *fetches[FETCH_BATCH];
	struct reader reader = { .database = database };
	struct error err = { "" };
	unsigned turn = 0;
	size_t count;
	enum pg_status status;

	reader.pg = database->has_standbys
	    ? database_reader_new(database, database->statement_ms, &err)
	    : database_writer_new(database, &err);
	reader.primary = database_writer_new(database, &err);
	/* Both strings were read before. */
	status = connect_reader(&reader, &err);
	database_note(database, status, reader.pg, &err);
	if (status != PG_OK)
		wait_for_database(&reader, &err);
	while ((count = take_waiting(database, fetches, &turn)) > 0) {
		status = read_fetches(&reader, fetches, count, &err);
		database_note(database, status, reader.pg, &err);
		hand_back(database, fetches, count);
		if (status != PG_OK)
			wait_for_database(&reader, &err);
	}
	pg_free(&reader.pg);
	pg_free(&reader.primary);
	return NULL;
}

/* -- the writer */

/* Logins that wait, or 0 when the threads are to end or it is time. */
static size_t
take_logins(struct database *database, struct fetch **fetches, int wait_ms)
{
	struct fetch_list *list = &database->waiting[QUERY_LOGIN];
	struct timespec until;
	size_t count;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += wait_ms / 1000;
	pthread_mutex_lock(&database->lock);
	while (TAILQ_EMPTY(list) && !database->is_stopping &&
	    pthread_cond_timedwait(
		&database->wanted, &database->lock, &until) != ETIMEDOUT)
		continue;
	count = take_batch(list, fetches);
	pthread_mutex_unlock(&database->lock);
	return count;
}

/* Into the spool, for later. */
static void
spool_logins(struct database *database, struct fetch **fetches, size_t count)
{
	struct error err;

	for (size_t i = 0; i < count; i++) {
		bool is_spooled = spool_add(database->spool,
				      &fetches[i]->query, &err) == 0;

		fetches[i]->state = is_spooled ? QUERY_FOUND : QUERY_UNKNOWN;
		fetches[i]->source = is_spooled ? QUERY_FROM_SPOOL
						: QUERY_FROM_NOWHERE;
		buf_reset(&fetches[i]->record);
		if (is_spooled)
			continue;
		buf_adds(&fetches[i]->record, err.text);
		if (database->logins_lost++ == 0)
			log_line("warning: a login is not remembered, and those "
				 "after it may not be: %s",
			    err.text);
	}
}

/* False: into the spool at once, as those before. */
static bool
write_logins(struct database *database, struct pg *pg, bool may_try,
    struct fetch **fetches, size_t count)
{
	struct query logins[FETCH_BATCH];
	struct error err = { "" };
	enum pg_status status = PG_UNKNOWN;

	for (size_t i = 0; i < count; i++)
		logins[i] = fetches[i]->query;
	if (may_try && database->health != DATABASE_AWAY)
		status = database_write_logins(
		    database, pg, logins, count, &err);
	if (status != PG_OK) {
		spool_logins(database, fetches, count);
		return false;
	}
	database->logins_written += count;
	for (size_t i = 0; i < count; i++) {
		fetches[i]->state = QUERY_FOUND;
		fetches[i]->source = QUERY_FROM_DATABASE;
		buf_reset(&fetches[i]->record);
	}
	return true;
}

/* What was spooled while the database was away. */
static void
apply_spool(struct database *database, struct pg *pg)
{
	struct query logins[FETCH_BATCH];
	struct error err = { "" };

	while (spool_bytes(database->spool) > 0 && !database->is_stopping &&
	    database->health == DATABASE_UP) {
		size_t count = spool_peek(
		    database->spool, logins, FETCH_BATCH);
		enum pg_status status = PG_OK;

		if (count > 0)
			status = database_write_logins(
			    database, pg, logins, count, &err);
		if (status != PG_OK) {
			log_line("warning: cannot write spooled logins yet: %s",
			    err.text);
			return;
		}
		database->logins_written += count;
		if (spool_drop(database->spool, &err) == -1) {
			log_line("warning: %s", err.text);
			return;
		}
	}
}

static void *
run_writer(void *context)
{
	struct database *database = context;
	struct fetch *fetches[FETCH_BATCH];
	struct error err;
	struct pg *pg = database_writer_new(database, &err);
	int64_t try_at_ms = 0;

	while (!database->is_stopping) {
		size_t count = take_logins(database, fetches, SPOOL_TRY_MS);
		bool may_try = clock_ms() >= try_at_ms;

		if (count > 0) {
			if (!write_logins(
				database, pg, may_try, fetches, count) &&
			    may_try)
				try_at_ms = clock_ms() + SPOOL_TRY_MS;
			hand_back(database, fetches, count);
		} else
			apply_spool(database, pg);
		database->spool_bytes = spool_bytes(database->spool);
	}
	pg_free(&pg);
	return NULL;
}

/* -- the loop's side */

static void
start_thread(struct database *database, void *(*run)(void *))
{
	if (thread_start(&database->threads[database->thread_count], run,
		database) == -1)
		fatal(111, "cannot start a thread");
	database->thread_count++;
}

static int
open_spool(struct database *database, uint64_t max_bytes, struct error *err)
{
	OWN_TEXT path = xasprintf("%s/spool", database->folder);

	database->spool = spool_open(path, max_bytes, err);
	if (database->spool == NULL)
		return -1;
	database->spool_bytes = spool_bytes(database->spool);
	return 0;
}

/* Can all strings be read? */
static int
check_strings(struct database *database, struct error *err)
{
	AUTO(pg_free) struct pg *writer = database_writer_new(database, err);
	AUTO(pg_free) struct pg *reader = NULL;
	AUTO(pg_free) struct pg *listener = NULL;

	if (writer != NULL)
		reader = database_reader_new(
		    database, database->statement_ms, err);
	if (reader != NULL)
		listener = database_listener_new(database, err);
	if (listener == NULL)
		return -1;
	/* Only of a string of one server is it known that it is the primary. */
	database->has_standbys = database->has_pooler ||
	    strcmp(database->conninfo, database->read_conninfo) != 0 ||
	    pg_host_count(reader) > 1;
	return 0;
}

static void
init_shared(struct database *database)
{
	pthread_condattr_t attributes;

	pthread_mutex_init(&database->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&database->wanted, &attributes);
	pthread_cond_init(&database->asked, NULL);
	pthread_condattr_destroy(&attributes);
	for (unsigned kind = 0; kind < QUERY_KIND_COUNT; kind++)
		TAILQ_INIT(&database->waiting[kind]);
	TAILQ_INIT(&database->done);
	STAILQ_INIT(&database->changes);
	database->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	database->follow_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (database->done_fd == -1 || database->follow_fd == -1)
		fatal(111, "cannot make an eventfd");
	database->health_since_ms = clock_ms();
}

struct database *
database_new(const struct database_options *options, struct error *err)
{
	struct database *database = xcalloc(1, sizeof(*database));

	database->conninfo = xstrdup(options->conninfo);
	database->read_conninfo = xstrdup(options->read_conninfo);
	database->listen_conninfo = xstrdup(options->listen_conninfo);
	database->has_pooler = options->has_pooler;
	database->folder = xstrdup(options->folder);
	database->readers = options->readers;
	database->statement_ms = options->statement_ms;
	database->snapshot_s = options->snapshot_s;
	init_shared(database);
	if (check_strings(database, err) == -1 ||
	    open_spool(database, options->spool_bytes, err) == -1) {
		database_free(&database);
		return NULL;
	}
	start_thread(database, database_follow);
	for (unsigned i = 0; i < database->readers; i++)
		start_thread(database, run_reader);
	start_thread(database, run_writer);
	if (database->snapshot_s > 0)
		start_thread(database, database_keep_snapshot);
	return database;
}

/* It may have a password. */
static void
free_conninfo(char *conninfo)
{
	explicit_bzero(conninfo, strlen(conninfo));
	free(conninfo);
}

void
database_free(struct database **database_in)
{
	struct database *database = *database_in;
	struct change *change;

	if (database == NULL)
		return;
	pthread_mutex_lock(&database->lock);
	database->is_stopping = true;
	pthread_cond_broadcast(&database->wanted);
	pthread_cond_broadcast(&database->asked);
	pthread_mutex_unlock(&database->lock);
	wake_fd(database->follow_fd);
	for (unsigned i = 0; i < database->thread_count; i++)
		pthread_join(database->threads[i], NULL);
	while ((change = STAILQ_FIRST(&database->changes)) != NULL) {
		STAILQ_REMOVE_HEAD(&database->changes, link);
		change_free(change);
	}
	snapshot_free(&database->made);
	spool_free(&database->spool);
	close(database->done_fd);
	close(database->follow_fd);
	pthread_cond_destroy(&database->wanted);
	pthread_cond_destroy(&database->asked);
	pthread_mutex_destroy(&database->lock);
	free_conninfo(database->conninfo);
	free_conninfo(database->read_conninfo);
	free_conninfo(database->listen_conninfo);
	free(database->folder);
	free(database);
	*database_in = NULL;
}

void
database_post(struct database *database, struct fetch *fetch)
{
	pthread_mutex_lock(&database->lock);
	TAILQ_INSERT_TAIL(&database->waiting[fetch->query.kind], fetch, link);
	if (fetch->query.kind == QUERY_LOGIN) /* others pause on it, too */
		pthread_cond_broadcast(&database->wanted);
	else
		pthread_cond_signal(&database->asked);
	pthread_mutex_unlock(&database->lock);
}

int
database_fd(const struct database *database)
{
	return database->done_fd;
}

void
database_take_done(struct database *database, struct fetch_list *done_out)
{
	uint64_t count;

	if (read(database->done_fd, &count, sizeof(count)) == -1)
		count = 0;
	pthread_mutex_lock(&database->lock);
	TAILQ_CONCAT(done_out, &database->done, link);
	pthread_mutex_unlock(&database->lock);
}

void
database_take_changes(
    struct database *database, struct change_list *changes_out)
{
	pthread_mutex_lock(&database->lock);
	STAILQ_CONCAT(changes_out, &database->changes);
	pthread_mutex_unlock(&database->lock);
}

struct snapshot *
database_take_snapshot(struct database *database)
{
	struct snapshot *made;

	pthread_mutex_lock(&database->lock);
	made = database->made;
	database->made = NULL;
	pthread_mutex_unlock(&database->lock);
	return made;
}

void
database_want_snapshot(struct database *database)
{
	pthread_mutex_lock(&database->lock);
	database->wants_snapshot = true;
	pthread_mutex_unlock(&database->lock);
}

enum database_health
database_health(struct database *database)
{
	return database->health;
}

/*
 * Long enough for some readings of the log to fail; but a reader may find first
 * that the database is away, and then nobody is absent.
 */
bool
database_is_followed(struct database *database)
{
	int64_t at_ms = database->followed_at_ms;

	return database->health != DATABASE_AWAY && at_ms != 0 &&
	    clock_ms() - at_ms < 10000;
}

void
database_state(struct database *database, struct database_state *state_out)
{
	*state_out = (struct database_state){
		.health = database->health,
		.is_followed = database_is_followed(database),
		.followed_at_ms = database->followed_at_ms,
		.statements = database->statements,
		.rows = database->rows,
		.changes = database->change_count,
		.logins_written = database->logins_written,
		.logins_lost = database->logins_lost,
		.spool_bytes = database->spool_bytes,
		.makes_snapshot = database->makes_snapshot,
		.snapshot_took_ms = database->snapshot_took_ms,
	};
	pthread_mutex_lock(&database->lock);
	state_out->reason = database->reason;
	snprintf(
	    state_out->host, sizeof(state_out->host), "%s", database->host);
	state_out->health_since_ms = database->health_since_ms;
	pthread_mutex_unlock(&database->lock);
}
