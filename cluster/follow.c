/* SPDX-License-Identifier: ISC */
/* Reads the cluster's nodes and domains. */
#include "cluster/follow.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "cluster/state.h"
#include "lookupd/pg.h"

enum {
	STATEMENT_MS = 3000,
	RETRY_MS = 1000,
	LOOK_MS = 2000,    /* between readings of the nodes and their leases */
	SPACING_MS = 100,  /* after one that was notified */
	DOMAINS_MS = 60000, /* between readings of the domains anyhow */
	NODE_COLUMNS = 13   /* without the last, the lease's end */
};

struct cluster_follower {
	struct state *state;
	struct pg *pg;
	char xmin[24];        /* ""; nothing was read yet */
	int64_t backend;      /* that listens */
	int64_t domains_at_ms; /* 0: not on this connection */
	/* Of the rows, what the others need to know. */
	struct buf seen_nodes, seen_domains;
	bool has_domains;
};

/* As lookupd reads it (lookupd/database_follow.c): which kinds there are. */
static const struct pg_statement log_sql = { "log",
	"SELECT pg_snapshot_xmin(pg_current_snapshot()), pg_backend_pid(), "
	"EXISTS (SELECT FROM mq.changes WHERE xid >= $1::xid8 "
	"AND kind = 'domain'), EXISTS (SELECT FROM mq.changes "
	"WHERE xid >= $1::xid8 AND kind IN ('node', 'store'))" };

static const struct pg_statement nodes_sql = { "nodes",
	"SELECT name, host, role, version, smtp_port, imap_port, pop3_port, "
	"bus_port, array_to_string(tls_pins, ' '), "
	"array_to_string(curve_keys, ' '), epoch, is_revoked, is_draining, "
	"(extract(epoch FROM now() - lease_until) * 1000)::bigint "
	"FROM mq.live_nodes ORDER BY name" };

static const struct pg_statement domains_sql = { "domains",
	"SELECT name, name FROM mq.domains WHERE is_clustered UNION ALL "
	"SELECT a.name, d.name FROM mq.domain_aliases a JOIN mq.domains d "
	"ON d.id = a.domain_id WHERE d.is_clustered ORDER BY 1" };

/* -- nodes */

static void
split_words(struct strlist *list, const char *text)
{
	while (*text != '\0') {
		size_t length = strcspn(text, " ");

		if (length > 0)
			strlist_addn(list, text, length);
		text += length + strspn(text + length, " ");
	}
}

static struct member
member_of_row(const struct pg_result *result, size_t row, int64_t now_ms)
{
	struct member member = { .name = xstrdup(pg_text(result, row, 0)),
		.host = xstrdup(pg_text(result, row, 1)),
		.role = xstrdup(pg_text(result, row, 2)),
		.version = xstrdup(pg_text(result, row, 3)),
		.smtp_port = (uint16_t)pg_number(result, row, 4),
		.imap_port = (uint16_t)pg_number(result, row, 5),
		.pop3_port = (uint16_t)pg_number(result, row, 6),
		.bus_port = (uint16_t)pg_number(result, row, 7),
		.epoch = (uint64_t)pg_number(result, row, 10),
		.is_revoked = pg_bool(result, row, 11),
		.is_draining = pg_bool(result, row, 12),
		.known_at_ms = now_ms };

	split_words(&member.pins, pg_text(result, row, 8));
	split_words(&member.keys, pg_text(result, row, 9));
	if (pg_text(result, row, 13) != NULL) {
		member.lease_ends_ms = now_ms - pg_number(result, row, 13);
		member.renewed_at_ms = member.lease_ends_ms -
		    CLUSTER_LEASE_MS;
	}
	return member;
}

/* What was heard of it stays. */
static void
keep_heard(struct member *member, struct member *old)
{
	member->known_at_ms = old->known_at_ms;
	member->heard_at_ms = old->heard_at_ms;
	member->last = old->last;
	old->last = (struct message){ .health = NULL };
	member->received = old->received;
	member->missed = old->missed;
	member->is_alive = old->is_alive;
	member->changed_at_ms = old->changed_at_ms;
}

/* Are the columns other than those seen before?  None of them is NULL. */
static bool
is_news(struct buf *seen, const struct pg_result *result, size_t columns)
{
	struct buf rows;
	bool differs;

	buf_init(&rows);
	for (size_t row = 0; row < pg_rows(result); row++)
		for (size_t column = 0; column < columns; column++) {
			buf_adds(&rows, pg_text(result, row, column));
			buf_addc(&rows, '\0');
		}
	differs = seen->length != rows.length ||
	    (rows.length > 0 &&
		memcmp(seen->data, rows.data, rows.length) != 0);
	buf_release(seen);
	*seen = rows;
	return differs;
}

static void
take_members(struct cluster_follower *follower, const struct pg_result *result,
    int64_t now_ms)
{
	struct state *state = follower->state;
	/* A lease that goes on is no news for the files. */
	bool differs = is_news(&follower->seen_nodes, result, NODE_COLUMNS);
	size_t count = pg_rows(result);
	struct member *members = xcalloc(count + 1, sizeof(*members));

	pthread_mutex_lock(&state->lock);
	for (size_t row = 0; row < count; row++) {
		struct member *old;

		members[row] = member_of_row(result, row, now_ms);
		old = state_find_member(state, members[row].name);
		if (old != NULL)
			keep_heard(&members[row], old);
	}
	for (size_t i = 0; i < state->member_count; i++)
		member_release(&state->members[i]);
	free(state->members);
	state->members = members;
	state->member_count = count;
	state->rows_at_ms = now_ms;
	if (differs) {
		state->members_version++;
		state->has_new_nodes = true;
		pthread_cond_broadcast(&state->files);
	}
	state_judge_members(state, now_ms);
	pthread_mutex_unlock(&state->lock);
	if (differs)
		state_wake(state->bus_fd);
}

static enum pg_status
read_nodes(struct cluster_follower *follower, struct error *err)
{
	AUTO(pg_result_free) struct pg_result *result = NULL;
	/* What took its time makes a lease shorter, not longer. */
	int64_t asked_at_ms = clock_boot_ms();
	enum pg_status status = pg_run(follower->pg, &nodes_sql, NULL, 0,
	    STATEMENT_MS, &result, err);

	if (status == PG_OK)
		take_members(follower, result, asked_at_ms);
	return status;
}

/* -- domains */

static enum pg_status
read_domains(struct cluster_follower *follower, struct error *err)
{
	struct state *state = follower->state;
	AUTO(pg_result_free) struct pg_result *result = NULL;
	struct strlist names = { .count = 0 }, reals = { .count = 0 };
	enum pg_status status = pg_run(follower->pg, &domains_sql, NULL, 0,
	    STATEMENT_MS * 10, &result, err);

	if (status != PG_OK)
		return status;
	follower->domains_at_ms = clock_ms();
	if (!is_news(&follower->seen_domains, result, 2) &&
	    follower->has_domains)
		return PG_OK;
	follower->has_domains = true;
	for (size_t row = 0; row < pg_rows(result); row++) {
		strlist_add(&names, pg_text(result, row, 0));
		strlist_add(&reals, pg_text(result, row, 1));
	}
	pthread_mutex_lock(&state->lock);
	strlist_release(&state->domains);
	strlist_release(&state->reals);
	state->domains = names;
	state->reals = reals;
	state->domain_count = names.count;
	state->has_new_domains = true;
	pthread_cond_broadcast(&state->files);
	pthread_mutex_unlock(&state->lock);
	return PG_OK;
}

/* -- the log */

static enum pg_status
look_for_changes(struct cluster_follower *follower, struct error *err)
{
	AUTO(pg_result_free) struct pg_result *result = NULL;
	enum pg_status status = pg_run(follower->pg, &log_sql,
	    (const char *const[]){ *follower->xmin == '\0' ? "0"
							   : follower->xmin },
	    1, STATEMENT_MS, &result, err);

	/* A connection that was made anew meanwhile would not listen. */
	if (status == PG_OK && follower->backend != 0 &&
	    pg_number(result, 0, 1) != follower->backend) {
		error_set(err, "the connection was lost");
		status = PG_UNKNOWN;
	}
	if (status != PG_OK)
		return status;
	follower->backend = pg_number(result, 0, 1);
	snprintf(follower->xmin, sizeof(follower->xmin), "%s",
	    pg_text(result, 0, 0));
	if (pg_bool(result, 0, 3))
		state_wake(follower->state->lease_fd);
	status = read_nodes(follower, err);
	if (status == PG_OK &&
	    (pg_bool(result, 0, 2) || follower->domains_at_ms == 0 ||
		clock_ms() - follower->domains_at_ms > DOMAINS_MS))
		status = read_domains(follower, err);
	return status;
}

static enum pg_status
begin_to_listen(struct cluster_follower *follower, struct error *err)
{
	enum pg_status status = pg_connect(follower->pg, STATEMENT_MS, err);

	follower->backend = 0;
	follower->domains_at_ms = 0;
	if (status == PG_OK)
		status = pg_script(
		    follower->pg, "LISTEN mq_changes", STATEMENT_MS, err);
	return status;
}

/* Until the connection is lost, or all is to end. */
static void
follow_changes(struct cluster_follower *follower, struct error *err)
{
	struct state *state = follower->state;
	int notified = 0;

	while (!state->is_stopping && notified != -1 &&
	    look_for_changes(follower, err) == PG_OK) {
		if (notified == 1)
			clock_sleep_ms(SPACING_MS);
		notified = pg_wait_notify(
		    follower->pg, state->follow_fd, LOOK_MS, err);
	}
}

void *
follow_run(void *context)
{
	struct state *state = context;
	struct cluster_follower follower = { .state = state };
	const struct pg_options options = {
		.conninfo = state->listen_conninfo,
		.program = "clusterd",
		.is_writer = true,
		.connect_ms = STATEMENT_MS,
		.statement_ms = STATEMENT_MS * 10
	};
	struct error err = { "" };

	follower.pg = pg_new(&options, &err);
	while (follower.pg != NULL && !state->is_stopping) {
		struct pollfd item = { state->follow_fd, POLLIN, 0 };

		/* The lease's thread says why not. */
		if (begin_to_listen(&follower, &err) == PG_OK)
			follow_changes(&follower, &err);
		pg_drop(follower.pg);
		if (!state->is_stopping)
			poll(&item, 1, RETRY_MS);
	}
	pg_free(&follower.pg);
	buf_release(&follower.seen_nodes);
	buf_release(&follower.seen_domains);
	return NULL;
}
