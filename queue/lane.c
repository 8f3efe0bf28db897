/* SPDX-License-Identifier: ISC */
/*
 * Lanes, their lines and their turns.
 *
 * A lane with parts is in the turn of its kind while it does not back off.  One
 * with a ticket that is due is ready, in another list of its kind, while it
 * neither backs off nor has its share of memory.  Timers are lane numbers in a
 * schedule; one that was set for nothing, or for a lane that is gone, finds
 * that out when it ends.
 */
#include "queue/lane.h"

#include <assert.h>
#include <limits.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "control/domain_lines.h"
#include "base/strlist.h"
#include "queue/idmap.h"

enum { ROOMLESS_SHARE = 4 };
enum { WISH_MS = 60000 };
static const time_t FOREVER_S = (time_t)100 * 366 * 86400;

TAILQ_HEAD(part_list, lane_part);
TAILQ_HEAD(lane_list, lane);

struct lane {
	LIST_ENTRY(lane) in_table;
	uint64_t number;
	enum lane_kind kind;
	unsigned running;
	int64_t backs_off_until_ms; /* 0: it does not */
	bool is_held;
	char *reason;
	/* of a remote one */
	uint32_t room, jobs;
	bool has_asked;
	enum job_wish wish;
	int64_t wish_ends_ms;
	TAILQ_ENTRY(lane) in_asking;
	bool is_asking; /* is to ask */
	/* parts */
	size_t part_count;      /* in line or not: messages in memory */
	size_t from_disk;       /* of these: they are held to the share */
	struct part_list parts; /* in line */
	TAILQ_ENTRY(lane) in_turn;
	bool is_in_turn;
	/* tickets */
	struct schedule tickets;
	TAILQ_ENTRY(lane) in_ready;
	bool is_ready;
	uint64_t turn;   /* if it is ready: the least is next */
	time_t wakes_at; /* a timer is set; 0: none */
	const char *key; /* behind it */
};

struct lane_kind_state {
	unsigned limit, running;
	bool is_shared, is_held;
	struct lane_list turn; /* lanes with a part that may be started */
	struct lane_list ready;
};

struct lane_table {
	struct lane_kind_state kinds[LANE_KIND_COUNT];
	LIST_HEAD(, lane) lanes;
	void *by_key; /* tsearch(3) */
	struct idmap by_number;
	struct schedule back_offs; /* in milliseconds */
	struct schedule asleep;    /* lanes whose tickets are not due */
	struct lane_list asking;
	struct strlist held; /* keys */
	size_t share;
	time_t patience_s;
	const struct strlist *lifetimes; /* NULL: not told yet */
	time_t now;     /* of the last lane_take() */
	int64_t now_ms; /* of the last lane_run_timers() */
	uint64_t last_number, last_turn, ticket_count;
	uint32_t backing_off;
};

enum route_channel
lane_channel(enum lane_kind kind)
{
	return kind == LANE_MIXED_REMOTE || kind == LANE_REMOTE ? ROUTE_REMOTE
								: ROUTE_LOCAL;
}

enum route_channel
lane_way(enum lane_kind kind)
{
	return kind == LANE_NODE ? ROUTE_REMOTE : lane_channel(kind);
}

enum lane_kind
lane_kind_of_key(enum lane_kind kind, const char *key)
{
	return kind == LANE_REMOTE && *key == '@' ? LANE_NODE : kind;
}

/* Has its worker a say in how many of its jobs there are? */
static bool
has_worker_rooms(const struct lane *lane)
{
	return lane->kind == LANE_REMOTE || lane->kind == LANE_NODE;
}

/* -- lanes */

static int
compare_lanes(const void *a, const void *b)
{
	const struct lane *first = a, *second = b;

	return first->kind != second->kind
	    ? (int)first->kind - (int)second->kind
	    : strcmp(first->key, second->key);
}

struct lane_table *
lane_table_new(size_t share)
{
	struct lane_table *table = xcalloc(1, sizeof(*table));

	for (enum lane_kind kind = 0; kind < LANE_KIND_COUNT; kind++) {
		table->kinds[kind].limit = UINT_MAX;
		TAILQ_INIT(&table->kinds[kind].turn);
		TAILQ_INIT(&table->kinds[kind].ready);
	}
	LIST_INIT(&table->lanes);
	TAILQ_INIT(&table->asking);
	table->share = share;
	table->patience_s = FOREVER_S;
	return table;
}

static void
free_lane(struct lane_table *table, struct lane *lane)
{
	tdelete(lane, &table->by_key, compare_lanes);
	LIST_REMOVE(lane, in_table);
	schedule_release(&lane->tickets);
	free(lane->reason);
	free(lane);
}

void
lane_table_free(struct lane_table **table_in)
{
	struct lane_table *table = *table_in;

	if (table == NULL)
		return;
	while (!LIST_EMPTY(&table->lanes))
		free_lane(table, LIST_FIRST(&table->lanes));
	idmap_release(&table->by_number);
	schedule_release(&table->back_offs);
	schedule_release(&table->asleep);
	strlist_release(&table->held);
	free(table);
	*table_in = NULL;
}

bool
lane_has_key(const struct lane *lane, const char *key)
{
	size_t length = strlen(key);

	return strncmp(lane->key, key, length) == 0 &&
	    (lane->key[length] == '\0' ||
		(lane->kind == LANE_REMOTE && lane->key[length] == ' '));
}

struct lane *
lane_find(struct lane_table *table, enum lane_kind kind, const char *key)
{
	const struct lane wanted = { .kind = kind, .key = key };
	void *found = tfind(&wanted, &table->by_key, compare_lanes);

	return found == NULL ? NULL : *(struct lane **)found;
}

struct lane *
lane_get(struct lane_table *table, enum lane_kind kind, const char *key)
{
	struct lane *lane = lane_find(table, kind, key);
	size_t size = strlen(key) + 1, i;

	if (lane != NULL)
		return lane;
	lane = xcalloc(1, sizeof(*lane) + size);
	lane->key = memcpy(lane + 1, key, size);
	lane->kind = kind;
	TAILQ_INIT(&lane->parts);
	lane->number = ++table->last_number;
	for (i = 0; i < table->held.count; i++)
		lane->is_held |= lane_has_key(lane, table->held.items[i]);
	if (tsearch(lane, &table->by_key, compare_lanes) == NULL)
		fatal(111, "out of memory");
	idmap_put(&table->by_number, lane->number, lane);
	LIST_INSERT_HEAD(&table->lanes, lane, in_table);
	return lane;
}

static void
drop_unused_lane(struct lane_table *table, struct lane *lane)
{
	if (lane->part_count > 0 || lane->running > 0 || lane->jobs > 0 ||
	    lane->room > 0 || lane->backs_off_until_ms != 0 ||
	    lane->tickets.count > 0 || lane->wish != JOB_WISH_NONE)
		return;
	idmap_remove(&table->by_number, lane->number);
	free_lane(table, lane);
}

const char *
lane_key(const struct lane *lane)
{
	return lane->key;
}

enum lane_kind
lane_get_kind(const struct lane *lane)
{
	return lane->kind;
}

uint64_t
lane_number(const struct lane *lane)
{
	return lane->number;
}

/* -- where a lane belongs, after something of it has changed */

bool
lane_is_roomless(const struct lane *lane)
{
	return has_worker_rooms(lane) && lane->room == 0;
}

static bool
has_room_for_job(const struct lane *lane)
{
	return !has_worker_rooms(lane) || lane->jobs < lane->room;
}

/* To ask, while there is something to be started and no room at all. */
static void
update_asking(struct lane_table *table, struct lane *lane)
{
	bool is_asking = lane_is_roomless(lane) && !lane->has_asked &&
	    lane->backs_off_until_ms == 0 && !lane->is_held &&
	    !TAILQ_EMPTY(&lane->parts);

	if (is_asking == lane->is_asking)
		return;
	lane->is_asking = is_asking;
	if (is_asking)
		TAILQ_INSERT_TAIL(&table->asking, lane, in_asking);
	else
		TAILQ_REMOVE(&table->asking, lane, in_asking);
}

/* In its kind's turn while a part of it may be started. */
static void
update_turn(struct lane_table *table, struct lane *lane)
{
	struct lane_list *turn = &table->kinds[lane->kind].turn;
	bool may_start = !TAILQ_EMPTY(&lane->parts) &&
	    lane->backs_off_until_ms == 0 && !lane->is_held &&
	    has_room_for_job(lane);

	update_asking(table, lane);
	if (may_start == lane->is_in_turn)
		return;
	lane->is_in_turn = may_start;
	if (may_start)
		TAILQ_INSERT_TAIL(turn, lane, in_turn);
	else
		TAILQ_REMOVE(turn, lane, in_turn);
}

static void
leave_ready(struct lane_table *table, struct lane *lane)
{
	if (lane->is_ready)
		TAILQ_REMOVE(&table->kinds[lane->kind].ready, lane, in_ready);
	lane->is_ready = false;
}

/* While it has no room one message is enough to ask for it, and then none. */
static bool
has_share(const struct lane_table *table, const struct lane *lane)
{
	if (lane_is_roomless(lane))
		return lane->has_asked || lane->from_disk >= 1;
	return lane->from_disk >= table->share;
}

static time_t
patience(const struct lane_table *table, const struct lane *lane)
{
	const char *its = lane->kind != LANE_REMOTE || table->lifetimes == NULL
	    ? NULL
	    : domain_lines_find(table->lifetimes, lane->key);

	if (lane->kind == LANE_NODE)
		return LANE_NODE_PATIENCE_S;
	return its == NULL ? table->patience_s
			   : strtol(its, NULL, 10) / LANE_PATIENCE_SHARE;
}

/* When its first ticket may be read. */
static time_t
first_due(const struct lane_table *table, const struct lane *lane)
{
	return schedule_next(&lane->tickets) +
	    (lane->backs_off_until_ms == 0 ? 0 : patience(table, lane));
}

/* Ready while a ticket is due and may be read; before, there is a timer. */
static void
update_ready(struct lane_table *table, struct lane *lane)
{
	time_t due = first_due(table, lane);

	if (lane->tickets.count == 0 || lane->is_held ||
	    has_share(table, lane)) {
		leave_ready(table, lane);
		return;
	}
	if (due <= table->now) {
		if (lane->is_ready)
			return;
		lane->is_ready = true;
		lane->turn = ++table->last_turn;
		TAILQ_INSERT_TAIL(
		    &table->kinds[lane->kind].ready, lane, in_ready);
		return;
	}
	leave_ready(table, lane);
	if (lane->wakes_at == 0 || due < lane->wakes_at) {
		lane->wakes_at = due;
		schedule_add(&table->asleep, lane->number, due);
	}
}

/* -- limits and back-offs */

void
lane_set_limit(struct lane_table *table, enum lane_kind kind, unsigned limit,
    bool is_shared)
{
	table->kinds[kind].limit = limit;
	table->kinds[kind].is_shared = is_shared;
}

void
lane_set_held(struct lane_table *table, enum lane_kind kind, bool is_held)
{
	table->kinds[kind].is_held = is_held;
}

bool
lane_hold(struct lane_table *table, const char *key, bool is_held)
{
	struct strlist old = table->held;
	struct lane *lane;

	if (strlist_find(&old, key) == is_held)
		return false;
	table->held = (struct strlist){ .items = NULL };
	for (size_t i = 0; i < old.count; i++)
		if (strcmp(old.items[i], key) != 0)
			strlist_add(&table->held, old.items[i]);
	if (is_held)
		strlist_add(&table->held, key);
	strlist_sort(&table->held);
	strlist_release(&old);
	LIST_FOREACH(lane, &table->lanes, in_table)
		if (lane_has_key(lane, key)) {
			lane->is_held = is_held;
			lane->has_asked &= is_held; /* asks again */
			update_turn(table, lane);
			update_ready(table, lane);
		}
	return true;
}

const char *
lane_held_key(const struct lane_table *table, size_t i)
{
	return i < table->held.count ? table->held.items[i] : NULL;
}

/* It is kept while its only message is read: it has not asked before. */
static void
wish_lane(struct lane_table *table, struct lane *lane, enum job_wish wish)
{
	if (!has_worker_rooms(lane) || wish <= lane->wish)
		return;
	lane->wish = wish;
	lane->wish_ends_ms = table->now_ms + WISH_MS;
	schedule_add(&table->back_offs, lane->number, lane->wish_ends_ms);
}

unsigned
lane_retry_key(struct lane_table *table, const char *key)
{
	struct lane *lane, *next;
	unsigned count = 0;

	for (lane = LIST_FIRST(&table->lanes); lane != NULL; lane = next) {
		next = LIST_NEXT(lane, in_table);
		if (!lane_has_key(lane, key))
			continue;
		count++;
		wish_lane(table, lane, JOB_WISH_ANYWAY);
		schedule_all_now(&lane->tickets);
		lane_back_off(table, lane, 0, "");
	}
	return count;
}

void
lane_wake_remote(struct lane_table *table, const char *domain)
{
	struct lane *lane, *next;

	for (lane = LIST_FIRST(&table->lanes); lane != NULL; lane = next) {
		next = LIST_NEXT(lane, in_table);
		if (has_worker_rooms(lane) &&
		    lane->backs_off_until_ms != 0 &&
		    (domain == NULL || lane_has_key(lane, domain)))
			lane_back_off(table, lane, 0, "");
	}
}

bool
lane_is_held(const struct lane *lane)
{
	return lane->is_held;
}

void
lane_set_lifetimes(struct lane_table *table, time_t lifetime_s,
    const struct strlist *lifetimes)
{
	table->patience_s = lifetime_s / LANE_PATIENCE_SHARE;
	table->lifetimes = lifetimes;
}

void
lane_back_off(struct lane_table *table, struct lane *lane, int64_t until_ms,
    const char *reason)
{
	if (lane->backs_off_until_ms != 0)
		table->backing_off--;
	lane->backs_off_until_ms = until_ms;
	lane->room = 0;
	lane->has_asked = false;
	free(lane->reason);
	lane->reason = xstrdup(reason);
	if (until_ms != 0) {
		table->backing_off++;
		schedule_add(&table->back_offs, lane->number, until_ms);
	}
	update_turn(table, lane);
	update_ready(table, lane);
	drop_unused_lane(table, lane);
}

void
lane_run_timers(struct lane_table *table, int64_t now_ms)
{
	uint64_t number;

	table->now_ms = now_ms;
	while (schedule_take(&table->back_offs, now_ms, &number)) {
		struct lane *lane = idmap_get(&table->by_number, number);

		if (lane == NULL)
			continue;
		if (lane->wish_ends_ms <= now_ms)
			lane->wish = JOB_WISH_NONE;
		if (lane->backs_off_until_ms > now_ms)
			continue;
		if (lane->backs_off_until_ms != 0)
			lane_back_off(table, lane, 0, "");
		else
			drop_unused_lane(table, lane);
	}
}

const char *
lane_reason(const struct lane *lane)
{
	return lane->reason == NULL ? "" : lane->reason;
}

int64_t
lane_backs_off_until_ms(const struct lane *lane)
{
	return lane->backs_off_until_ms;
}

uint32_t
lane_count_backing_off(const struct lane_table *table)
{
	return table->backing_off;
}

bool
lane_is_resting(const struct lane_table *table, const struct lane *lane)
{
	return lane->backs_off_until_ms != 0 || lane->is_held ||
	    table->kinds[lane->kind].is_held;
}

/* -- room */

void
lane_set_room(struct lane_table *table, struct lane *lane, uint32_t jobs)
{
	lane->room = jobs;
	lane->has_asked = false;
	update_turn(table, lane);
	update_ready(table, lane);
	drop_unused_lane(table, lane);
}

void
lane_take_rooms(struct lane_table *table)
{
	struct lane *lane, *next;

	for (lane = LIST_FIRST(&table->lanes); lane != NULL; lane = next) {
		next = LIST_NEXT(lane, in_table);
		if (has_worker_rooms(lane))
			lane_set_room(table, lane, 0);
	}
}

struct lane *
lane_next_to_ask(struct lane_table *table, enum job_wish *wish_out)
{
	struct lane *lane = TAILQ_FIRST(&table->asking);

	if (lane == NULL || table->kinds[lane->kind].is_held)
		return NULL;
	lane->has_asked = true;
	*wish_out = lane->wish;
	lane->wish = JOB_WISH_NONE;
	update_asking(table, lane);
	update_ready(table, lane);
	return lane;
}

void
lane_job_began(struct lane_table *table, struct lane *lane)
{
	lane->jobs++;
	update_turn(table, lane);
}

void
lane_job_ended(struct lane_table *table, struct lane *lane)
{
	assert(lane->jobs > 0);
	lane->jobs--;
	update_turn(table, lane);
	drop_unused_lane(table, lane);
}

/* -- parts */

void
lane_part_init(struct lane_part *part, struct lane *lane, bool is_from_disk)
{
	part->lane = lane;
	part->is_in_line = false;
	part->is_from_disk = is_from_disk;
	lane->part_count++;
	lane->from_disk += is_from_disk; /* lane_take() looks at the share */
}

void
lane_part_release(struct lane_table *table, struct lane_part *part)
{
	struct lane *lane = part->lane;

	lane_part_leave(table, part);
	part->lane = NULL;
	lane->part_count--;
	lane->from_disk -= part->is_from_disk;
	update_ready(table, lane);
	drop_unused_lane(table, lane);
}

void
lane_part_enter(struct lane_table *table, struct lane_part *part)
{
	if (part->is_in_line)
		return;
	part->is_in_line = true;
	TAILQ_INSERT_TAIL(&part->lane->parts, part, in_line);
	update_turn(table, part->lane);
}

void
lane_part_leave(struct lane_table *table, struct lane_part *part)
{
	if (!part->is_in_line)
		return;
	part->is_in_line = false;
	TAILQ_REMOVE(&part->lane->parts, part, in_line);
	update_turn(table, part->lane);
}

/* How many more deliveries the lane may begin (lane_set_limit()). */
static unsigned
room_of_lane(const struct lane_kind_state *state, const struct lane *lane)
{
	uint64_t running = lane->running, left;

	if (state->running >= state->limit)
		return 0;
	left = state->limit - state->running;
	if (!state->is_shared)
		return (unsigned)left;
	if (running >= 3 * left)
		return 0;
	/* After so many it has three times as many as are left. */
	return 3 * left - running < 4 ? 1
				      : (unsigned)((3 * left - running) / 4);
}

struct lane_part *
lane_next(struct lane_table *table, enum lane_kind kind, unsigned *room_out)
{
	struct lane_kind_state *state = &table->kinds[kind];
	struct lane_part *part;
	struct lane *lane;

	if (state->is_held)
		return NULL;
	/* Of those that are passed over each has a delivery that runs. */
	TAILQ_FOREACH(lane, &state->turn, in_turn)
		if ((*room_out = room_of_lane(state, lane)) > 0)
			break;
	if (lane == NULL)
		return NULL;
	part = TAILQ_FIRST(&lane->parts);
	/* The lane's next turn is after all others'. */
	TAILQ_REMOVE(&state->turn, lane, in_turn);
	lane->is_in_turn = false;
	lane_part_leave(table, part);
	return part;
}

void
lane_started(struct lane_table *table, struct lane *lane)
{
	lane->running++;
	table->kinds[lane->kind].running++;
}

void
lane_ended(struct lane_table *table, struct lane *lane)
{
	assert(lane->running > 0);
	lane->running--;
	table->kinds[lane->kind].running--;
	drop_unused_lane(table, lane);
}

/* -- tickets */

void
lane_wait(struct lane_table *table, struct lane *lane, uint64_t id, time_t due)
{
	table->ticket_count++;
	schedule_add(&lane->tickets, id, due);
	update_ready(table, lane);
}

static void
wake_lanes(struct lane_table *table)
{
	uint64_t number;

	while (schedule_take(&table->asleep, table->now, &number)) {
		struct lane *lane = idmap_get(&table->by_number, number);

		if (lane == NULL || lane->wakes_at > table->now)
			continue;
		lane->wakes_at = 0;
		update_ready(table, lane);
	}
}

/* The lane whose turn it is, or NULL. */
static struct lane *
next_ready(struct lane_table *table,
    bool (*may_take)(enum lane_kind kind, void *context), void *context)
{
	struct lane *best = NULL;

	for (enum lane_kind kind = 0; kind < LANE_KIND_COUNT; kind++) {
		struct lane *lane = TAILQ_FIRST(&table->kinds[kind].ready);

		/* Their shares may be full since they were put there. */
		while (lane != NULL && has_share(table, lane)) {
			leave_ready(table, lane);
			lane = TAILQ_FIRST(&table->kinds[kind].ready);
		}
		if (lane != NULL && !table->kinds[kind].is_held &&
		    (best == NULL || lane->turn < best->turn) &&
		    (may_take == NULL || may_take(kind, context)))
			best = lane;
	}
	return best;
}

bool
lane_take(struct lane_table *table, time_t now,
    bool (*may_take)(enum lane_kind kind, void *context), void *context,
    uint64_t *id_out, enum lane_kind *kind_out)
{
	bool is_taken = false;
	struct lane *lane;

	table->now = now;
	wake_lanes(table);
	while (!is_taken &&
	    (lane = next_ready(table, may_take, context)) != NULL) {
		/* Not, when the clock was set back. */
		is_taken = schedule_take(&lane->tickets, now, id_out);
		table->ticket_count -= is_taken;
		*kind_out = lane->kind;
		leave_ready(table, lane); /* its turn is after all others' */
		update_ready(table, lane);
		drop_unused_lane(table, lane);
	}
	return is_taken;
}

bool
lane_is_over_share(const struct lane_table *table, const struct lane *lane)
{
	/* Its host may never answer. */
	size_t share = lane_is_roomless(lane) && table->share > ROOMLESS_SHARE
	    ? ROOMLESS_SHARE
	    : table->share;

	return lane->from_disk > share;
}

void
lane_all_now(struct lane_table *table)
{
	struct lane *lane, *next;

	for (lane = LIST_FIRST(&table->lanes); lane != NULL; lane = next) {
		next = LIST_NEXT(lane, in_table);
		schedule_all_now(&lane->tickets);
		wish_lane(table, lane, JOB_WISH_NOW);
		lane->has_asked = false; /* asks once more, with that */
		if (lane->backs_off_until_ms != 0)
			lane_back_off(table, lane, 0, "");
		else {
			update_turn(table, lane);
			update_ready(table, lane);
		}
	}
}

struct judging {
	enum schedule_verdict (*judge)(
	    uint64_t id, enum lane_kind kind, void *context);
	void *context;
	enum lane_kind kind;
	uint64_t taken;
	bool is_now;
};

static enum schedule_verdict
judge_ticket(uint64_t id, void *context)
{
	struct judging *judging = context;
	enum schedule_verdict verdict = judging->judge(
	    id, judging->kind, judging->context);

	judging->taken += verdict == SCHEDULE_TAKEN;
	judging->is_now |= verdict == SCHEDULE_NOW;
	return verdict;
}

void
lane_judge_tickets(struct lane_table *table,
    enum schedule_verdict (*judge)(
	uint64_t id, enum lane_kind kind, void *context),
    void *context)
{
	struct lane *lane, *next;

	for (lane = LIST_FIRST(&table->lanes); lane != NULL; lane = next) {
		struct judging judging = {
			.judge = judge, .context = context, .kind = lane->kind
		};

		next = LIST_NEXT(lane, in_table);
		if (!schedule_judge(&lane->tickets, judge_ticket, &judging))
			continue;
		table->ticket_count -= judging.taken;
		if (judging.is_now && lane->backs_off_until_ms != 0) {
			lane_back_off(table, lane, 0, "");
			continue; /* it may be gone */
		}
		update_ready(table, lane);
		drop_unused_lane(table, lane);
	}
}

void
lane_visit_tickets(const struct lane_table *table,
    void (*visit)(uint64_t id, enum lane_kind kind, void *context),
    void *context)
{
	const struct lane *lane;

	LIST_FOREACH(lane, &table->lanes, in_table)
		for (size_t i = 0; i < lane->tickets.count; i++)
			visit(lane->tickets.entries[i].id, lane->kind, context);
}

uint64_t
lane_ticket_count(const struct lane_table *table)
{
	return table->ticket_count;
}
