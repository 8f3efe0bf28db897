/* SPDX-License-Identifier: ISC */
/* The lease of this node, and those of its stores. */
#include "cluster/lease.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/usage.h"
#include "cluster/materialize.h"
#include "cluster/state.h"
#include "control/layout.h"
#include "lookupd/pg.h"

enum {
	STATEMENT_MS = 3000,
	RETRY_MS = 1000,
	CLOCK_MAX_MS = 5000 /* of a clock that is ahead or behind */
};

/* What is held, or was by the process before: whose epochs are ours. */
struct known_lease {
	char *store;
	uint64_t epoch;
};

struct keeper_of_leases {
	struct state *state;
	struct pg *pg;
	char *path;
	char instance[UUID_TEXT_SIZE];
	char before[UUID_TEXT_SIZE]; /* of the process before; or "" */
	struct known_lease *known;
	size_t known_count;
	char said[512]; /* the reason that the log has */
};

/*
 * All in one statement, so at one time of the database.  $1 name, $2 pin, $3
 * key, $4 instance, $5 that of the process before us, $6 the epoch, $7 is it
 * taken anew, $8 and $9 stores and epochs that were known, $10 version, $11
 * protocol.  A store is taken when nobody holds it, or when it was ours: then
 * under another epoch, too.
 */
static const struct pg_statement hold_sql = { "hold",
	"WITH me AS (UPDATE mq.nodes SET lease_until = now() + interval '15 s', "
	"instance = $4::uuid, version = $10, protocol = $11::int, "
	"epoch = CASE WHEN $7::boolean THEN epoch + 1 ELSE epoch END "
	"WHERE name = $1 AND NOT is_revoked AND $2::text = ANY(tls_pins) "
	"AND $3::text = ANY(curve_keys) AND CASE WHEN $7::boolean "
	"THEN coalesce(lease_until <= now(), true) "
	"OR coalesce(instance IN ($4::uuid, $5::uuid), false) "
	"ELSE instance = $4::uuid AND epoch = $6::bigint "
	"AND lease_until > now() END RETURNING epoch), "
	"known AS (SELECT * FROM unnest($8::text[], $9::bigint[]) "
	"AS k(name, epoch)), "
	"held AS (UPDATE mq.stores s SET lease_until = now() + interval '15 s' "
	"FROM me, known k WHERE NOT $7::boolean AND s.name = k.name "
	"AND s.epoch = k.epoch AND s.node = $1 AND NOT s.is_many_served "
	"AND s.lease_until > now() RETURNING s.name, s.epoch, s.path), "
	"taken AS (UPDATE mq.stores s SET lease_until = now() + interval '15 s',"
	" epoch = s.epoch + 1 FROM me WHERE s.node = $1 "
	"AND NOT s.is_many_served AND (coalesce(s.lease_until <= now(), true) "
	"OR ($7::boolean AND EXISTS (SELECT FROM known k WHERE k.name = s.name "
	"AND k.epoch = s.epoch))) RETURNING s.name, s.epoch, s.path) "
	"SELECT 'node', '', epoch, '', "
	"(extract(epoch FROM clock_timestamp()) * 1000)::bigint FROM me "
	"UNION ALL SELECT 'held', name, epoch, path, 0 FROM held "
	"UNION ALL SELECT 'taken', name, epoch, path, 0 FROM taken" };

static const struct pg_statement why_sql = { "why",
	"SELECT is_revoked, $2::text = ANY(tls_pins) AND "
	"$3::text = ANY(curve_keys), coalesce(instance::text, ''), "
	"coalesce(ceil(extract(epoch FROM lease_until - now())), 0)::bigint "
	"FROM mq.nodes WHERE name = $1" };

/* Who looked before this still acts for the margin. */
static const struct pg_statement let_go_sql = { "let_go",
	"WITH me AS (UPDATE mq.nodes SET lease_until = least(lease_until, "
	"now() + interval '2 s') WHERE name = $1 AND instance = $2::uuid "
	"AND epoch = $3::bigint RETURNING name) "
	"UPDATE mq.stores s SET lease_until = least(s.lease_until, "
	"now() + interval '2 s') FROM me, unnest($4::text[], $5::bigint[]) "
	"AS k(name, epoch) WHERE s.name = k.name AND s.epoch = k.epoch "
	"AND s.node = me.name" };

/* -- what is known */

static void
forget_known(struct keeper_of_leases *keeper)
{
	for (size_t i = 0; i < keeper->known_count; i++)
		free(keeper->known[i].store);
	free(keeper->known);
	keeper->known = NULL;
	keeper->known_count = 0;
}

static void
add_known(struct keeper_of_leases *keeper, const char *store, uint64_t epoch)
{
	keeper->known = mem_room(
	    keeper->known, keeper->known_count, sizeof(*keeper->known));
	keeper->known[keeper->known_count++] = (struct known_lease){
		xstrdup(store), epoch
	};
}

/*
 * What the process before held is free for us at once: it has ended, as the
 * folder's lock says, if it ran on this host since it booted.
 */
static void
read_known(struct keeper_of_leases *keeper)
{
	struct state *state = keeper->state;
	struct cluster_lease_list list;
	struct uuid before;
	struct error err;
	int found = cluster_lease_list_read(keeper->path, &list, &err);

	if (found == -1)
		log_line("warning: %s", err.text);
	if (found == 1 && strcmp(list.boot, state->boot) == 0 &&
	    strcmp(list.node, state->name) == 0 &&
	    strlen(list.instance) == UUID_TEXT_SIZE - 1 &&
	    uuid_parse(list.instance, &before)) {
		snprintf(keeper->before, sizeof(keeper->before), "%s",
		    list.instance);
		for (size_t i = 0; i < list.count; i++)
			add_known(keeper, list.leases[i].store,
			    list.leases[i].epoch);
	}
	cluster_lease_list_release(&list);
}

static void
put_known(const struct keeper_of_leases *keeper, struct buf *names,
    struct buf *epochs)
{
	const char **items = xcalloc(
	    keeper->known_count + 1, sizeof(*items));

	for (size_t i = 0; i < keeper->known_count; i++)
		items[i] = keeper->known[i].store;
	pg_array(names, items, keeper->known_count);
	free(items);
	buf_addc(epochs, '{');
	for (size_t i = 0; i < keeper->known_count; i++)
		buf_addf(epochs, "%s%" PRIu64, i > 0 ? "," : "",
		    keeper->known[i].epoch);
	buf_addc(epochs, '}');
}

/* -- what others see */

/* The file; deadline_ms 0: nothing is held. */
static void
write_file(struct keeper_of_leases *keeper, uint64_t epoch, int64_t deadline_ms)
{
	struct state *state = keeper->state;
	struct cluster_lease_list list = { .node = state->name,
		.boot = state->boot,
		.instance = keeper->instance,
		.node_epoch = epoch,
		.node_deadline_ms = deadline_ms };
	struct error err;

	list.leases = xcalloc(state->store_count + 1, sizeof(*list.leases));
	for (; list.count < state->store_count; list.count++)
		list.leases[list.count] = (struct cluster_lease){
			.store = state->stores[list.count].name,
			.path = state->stores[list.count].path,
			.epoch = state->stores[list.count].epoch,
			.deadline_ms = deadline_ms
		};
	if (materialize_leases(keeper->path, &list, &err) == -1)
		log_line("warning: %s", err.text);
	free(list.leases);
}

static void
say_reason(struct keeper_of_leases *keeper, const char *reason)
{
	if (strcmp(keeper->said, reason) != 0 && *reason != '\0')
		log_line("warning: %s", reason);
	snprintf(keeper->said, sizeof(keeper->said), "%s", reason);
}

/* Under the lock. */
static void
drop_stores(struct state *state)
{
	for (size_t i = 0; i < state->store_count; i++) {
		free(state->stores[i].name);
		free(state->stores[i].path);
	}
	free(state->stores);
	state->stores = NULL;
	state->store_count = 0;
}

static void
set_hold(struct keeper_of_leases *keeper, enum hold hold, const char *reason)
{
	struct state *state = keeper->state;
	bool was_held = state->hold == HOLD_HELD;

	pthread_mutex_lock(&state->lock);
	state->hold = hold;
	snprintf(state->reason, sizeof(state->reason), "%s", reason);
	if (hold != HOLD_HELD)
		drop_stores(state);
	pthread_mutex_unlock(&state->lock);
	say_reason(keeper, reason);
	/* As long as nothing was held the file is that of who was before. */
	if (was_held && hold != HOLD_HELD)
		write_file(keeper, 0, 0);
}

static void
note_database(
    struct keeper_of_leases *keeper, bool is_up, const struct error *err)
{
	struct state *state = keeper->state;
	bool is_news = state->has_database != is_up;

	if (is_news && is_up)
		log_line("status: the database answers at '%s'",
		    pg_host(keeper->pg));
	else if (is_news || (!is_up && *state->database_reason == '\0'))
		log_line("warning: the database is away, and the files stay "
			 "as they are: %s",
		    err->text);
	pthread_mutex_lock(&state->lock);
	if (is_news)
		state->database_since_ms = clock_boot_ms();
	state->has_database = is_up;
	snprintf(state->database_reason, sizeof(state->database_reason), "%s",
	    is_up ? "" : err->text);
	snprintf(state->database_host, sizeof(state->database_host), "%s",
	    pg_host(keeper->pg));
	pthread_mutex_unlock(&state->lock);
}

/* -- statements */

static void
take_stores(struct keeper_of_leases *keeper, const struct pg_result *result)
{
	struct state *state = keeper->state;
	size_t count = pg_rows(result);

	forget_known(keeper);
	drop_stores(state);
	state->stores = xcalloc(count, sizeof(*state->stores));
	for (size_t row = 1; row < count; row++) {
		const char *name = pg_text(result, row, 1);
		const char *path = pg_text(result, row, 3);
		uint64_t epoch = (uint64_t)pg_number(result, row, 2);

		add_known(keeper, name, epoch);
		state->stores[state->store_count++] = (struct held_store){
			xstrdup(name),
			xstrdup(*path == '\0' ? state->home->domains : path),
			epoch
		};
		if (strcmp(pg_text(result, row, 0), "taken") == 0)
			log_line("status: store %s is served under epoch "
				 "%" PRIu64,
			    name, epoch);
	}
}

/* How far our clock is ahead of the database's, of which half the way is old. */
static int64_t
clock_ahead_ms(int64_t database_ms, int64_t took_ms)
{
	return clock_wall_ms() - took_ms / 2 - database_ms;
}

static void
take_result(struct keeper_of_leases *keeper, const struct pg_result *result,
    int64_t sent_at_ms)
{
	struct state *state = keeper->state;
	uint64_t epoch = (uint64_t)pg_number(result, 0, 2);
	int64_t ahead_ms = clock_ahead_ms(
	    pg_number(result, 0, 4), clock_boot_ms() - sent_at_ms);
	bool was_odd = llabs(state->clock_ahead_ms) > CLOCK_MAX_MS;

	if (state->hold != HOLD_HELD || state->epoch != epoch)
		log_line("status: node %s has its lease, under epoch %" PRIu64,
		    state->name, epoch);
	if (llabs(ahead_ms) > CLOCK_MAX_MS && !was_odd)
		log_line("warning: the clock of this host is %.1f seconds %s "
			 "that of the database",
		    (double)llabs(ahead_ms) / 1000,
		    ahead_ms > 0 ? "ahead of" : "behind");
	pthread_mutex_lock(&state->lock);
	take_stores(keeper, result);
	state->hold = HOLD_HELD;
	state->reason[0] = '\0';
	state->epoch = epoch;
	state->deadline_ms = sent_at_ms + CLUSTER_LEASE_MS -
	    CLUSTER_LEASE_MARGIN_MS;
	state->clock_ahead_ms = ahead_ms;
	state_judge_members(state, clock_boot_ms());
	pthread_mutex_unlock(&state->lock);
	keeper->said[0] = '\0';
	write_file(keeper, epoch, state->deadline_ms);
}

static void
find_reason(const struct keeper_of_leases *keeper,
    const struct cluster_identity *identity, const struct pg_result *result,
    char reason_out[512])
{
	if (pg_rows(result) == 0)
		snprintf(reason_out, 512,
		    "the cluster has no node '%s': 'svctool cluster join'",
		    identity->name);
	else if (pg_bool(result, 0, 0))
		snprintf(reason_out, 512,
		    "node '%s' is revoked: 'svctool cluster leave', then "
		    "'join'",
		    identity->name);
	else if (!pg_bool(result, 0, 1))
		snprintf(reason_out, 512,
		    "the cluster knows node '%s' by other keys: another has "
		    "taken the name, or 'svctool cluster join' is to be run "
		    "again",
		    identity->name);
	else if (pg_number(result, 0, 3) > 0 &&
	    strcmp(pg_text(result, 0, 2), keeper->instance) != 0)
		snprintf(reason_out, 512,
		    "another process holds the lease of node '%s' (instance "
		    "%s): are there two of that name?  It ends in %s%lld s "
		    "unless it is renewed",
		    identity->name, pg_text(result, 0, 2), "",
		    (long long)pg_number(result, 0, 3));
	else
		snprintf(reason_out, 512,
		    "the lease of node '%s' has ended, and is taken anew",
		    identity->name);
}

/* Why there was no row. */
static enum pg_status
be_refused(struct keeper_of_leases *keeper,
    const struct cluster_identity *identity, struct error *err)
{
	AUTO(pg_result_free) struct pg_result *result = NULL;
	enum pg_status status = pg_run(keeper->pg, &why_sql,
	    (const char *const[]){
		identity->name, identity->pin, identity->public_key },
	    3, STATEMENT_MS, &result, err);
	char reason[512];
	bool is_over;

	if (status != PG_OK)
		return status;
	find_reason(keeper, identity, result, reason);
	is_over = strstr(reason, "has ended") != NULL;
	/* The seconds of the same trouble are no news for the log. */
	if (keeper->state->hold == HOLD_REFUSED && *keeper->said != '\0' &&
	    strncmp(keeper->said, reason, 60) == 0)
		snprintf(keeper->said, sizeof(keeper->said), "%s", reason);
	set_hold(keeper, is_over ? HOLD_WAITING : HOLD_REFUSED, reason);
	return PG_OK;
}

static enum pg_status
hold_on(struct keeper_of_leases *keeper, struct error *err)
{
	struct state *state = keeper->state;
	bool is_taken = state->hold != HOLD_HELD;
	AUTO(buf_release) struct buf names = BUF_INIT, epochs = BUF_INIT;
	AUTO(pg_result_free) struct pg_result *result = NULL;
	struct cluster_identity identity;
	char epoch[24], protocol[12];
	int64_t sent_at_ms;
	enum pg_status status;

	pthread_mutex_lock(&state->lock);
	identity = state->identity;
	pthread_mutex_unlock(&state->lock);
	cluster_identity_release(&identity); /* of its secret */
	snprintf(epoch, sizeof(epoch), "%" PRIu64, state->epoch);
	snprintf(protocol, sizeof(protocol), "%d", CLUSTER_PROTOCOL);
	put_known(keeper, &names, &epochs);
	/* Connecting is no part of it. */
	status = pg_connect(keeper->pg, STATEMENT_MS, err);
	if (status != PG_OK)
		return status;
	sent_at_ms = clock_boot_ms();
	status = pg_run(keeper->pg, &hold_sql,
	    (const char *const[]){ identity.name, identity.pin,
		identity.public_key, keeper->instance,
		*keeper->before == '\0' ? NULL : keeper->before, epoch,
		is_taken ? "true" : "false", names.data, epochs.data,
		MQMAIL_VERSION, protocol },
	    11, STATEMENT_MS, &result, err);
	if (status != PG_OK)
		return status;
	if (pg_rows(result) == 0)
		return be_refused(keeper, &identity, err);
	take_result(keeper, result, sent_at_ms);
	return PG_OK;
}

static void
let_go(struct keeper_of_leases *keeper)
{
	struct state *state = keeper->state;
	AUTO(buf_release) struct buf names = BUF_INIT, epochs = BUF_INIT;
	char epoch[24];
	struct error err;

	if (state->hold != HOLD_HELD)
		return;
	/* The next process takes up from there. */
	write_file(keeper, state->epoch, 0);
	snprintf(epoch, sizeof(epoch), "%" PRIu64, state->epoch);
	put_known(keeper, &names, &epochs);
	if (pg_run(keeper->pg, &let_go_sql,
		(const char *const[]){ state->name, keeper->instance,
		    epoch, names.data, epochs.data },
		5, STATEMENT_MS, NULL, &err) != PG_OK)
		log_line("warning: the lease goes on until it ends: %s",
		    err.text);
}

/* -- the thread */

/* A deadline that passed unseen, as of a process that was stopped. */
static void
see_deadline(struct keeper_of_leases *keeper)
{
	struct state *state = keeper->state;
	int64_t late_ms = clock_boot_ms() - state->deadline_ms;
	char reason[512];

	if (state->hold != HOLD_HELD || late_ms < 0)
		return;
	snprintf(reason, sizeof(reason),
	    "the lease of node '%s' passed its deadline %" PRId64
	    " ms ago: what it served under epoch %" PRIu64 " is over",
	    state->name, late_ms, state->epoch);
	set_hold(keeper, HOLD_WAITING, reason);
}

static int
next_ms(const struct keeper_of_leases *keeper, enum pg_status status)
{
	const struct state *state = keeper->state;
	int64_t left_ms = state->deadline_ms - clock_boot_ms();
	int64_t wait_ms = status != PG_OK || state->hold == HOLD_WAITING
	    ? RETRY_MS
	    : CLUSTER_LEASE_RENEW_MS;

	if (state->hold == HOLD_REFUSED)
		wait_ms = CLUSTER_LEASE_MARGIN_MS;
	if (state->hold == HOLD_HELD && left_ms < wait_ms)
		wait_ms = left_ms < 0 ? 0 : left_ms + 1;
	return (int)wait_ms;
}

void *
lease_run(void *context)
{
	struct state *state = context;
	struct keeper_of_leases keeper = { .state = state };
	const struct pg_options options = { .conninfo = state->conninfo,
		.program = "clusterd",
		.is_writer = true,
		.has_pooler = state->has_pooler,
		.connect_ms = STATEMENT_MS,
		.statement_ms = STATEMENT_MS };
	enum pg_status status = PG_UNKNOWN;
	struct error err = { "" };

	keeper.pg = pg_new(&options, &err);
	keeper.path = layout_path(state->home, LAYOUT_cluster_leases);
	uuid_format(&state->instance, keeper.instance);
	read_known(&keeper);
	while (keeper.pg != NULL && !state->is_stopping) {
		struct pollfd item = { state->lease_fd, POLLIN, 0 };

		see_deadline(&keeper);
		status = hold_on(&keeper, &err);
		see_deadline(&keeper);
		note_database(&keeper, status == PG_OK, &err);
		if (status != PG_OK)
			pg_drop(keeper.pg);
		poll(&item, 1, next_ms(&keeper, status));
		state_awake(state->lease_fd);
	}
	if (keeper.pg != NULL && status == PG_OK)
		let_go(&keeper);
	forget_known(&keeper);
	pg_free(&keeper.pg);
	free(keeper.path);
	return NULL;
}
