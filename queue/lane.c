/* SPDX-License-Identifier: ISC */
/*
 * Lanes, their lines and their turns.
 *
 * A lane's tickets of one channel are a heap of their own, a stock.  A stock
 * whose first ticket is not due sleeps in a heap of stocks; one that has a
 * ticket due is ready, in a list for its kind and channel; one whose lane backs
 * off, or has enough in memory, is in neither, until that ends.  So is a lane
 * with parts in the list of its kind only while one of them could be started.
 */
#include "queue/lane.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "queue/route.h"

/* A member of a heap; part of what the heap is of. */
struct lane_node {
	int64_t key;
	size_t at; /* index in the heap */
};

struct lane_heap {
	struct lane_node **nodes; /* the first has the least key */
	size_t count, size;
};

enum stock_state {
	STOCK_ASLEEP,
	STOCK_READY,
	STOCK_FULL,     /* the lane has its share of memory */
	STOCK_BACKS_OFF /* the lane does */
};

struct lane_stock {
	struct lane_node due; /* first, see stock_of_node() */
	struct lane *lane;
	struct lane_ticket *tickets; /* a heap */
	size_t count, size;
	TAILQ_ENTRY(lane_stock) in_list; /* READY or FULL */
	uint64_t turn;                   /* READY: the least is next */
	unsigned channel;
	enum stock_state state;
};

TAILQ_HEAD(stock_list, lane_stock);
TAILQ_HEAD(part_list, lane_part);
TAILQ_HEAD(lane_list, lane);

struct lane {
	struct lane_node back_off; /* first; its key is 0 for none */
	char *reason;
	struct lane *next; /* in its bucket */
	uint32_t number;
	enum lane_kind kind;
	unsigned limit, running;
	size_t holders, part_count, loaded;
	struct part_list parts; /* in line */
	size_t parts_in_line;
	TAILQ_ENTRY(lane) in_turn;
	bool is_in_turn;
	struct lane_stock *stocks[ROUTE_CHANNEL_COUNT]; /* or NULL */
	char key[];
};

struct lane_kind_state {
	unsigned limit, running;
	bool is_held;
	struct lane_list turn; /* lanes with a part that may be started */
	struct stock_list ready[ROUTE_CHANNEL_COUNT];
};

struct lane_table {
	struct lane_kind_state kinds[LANE_KIND_COUNT];
	struct lane **buckets;
	size_t bucket_count, lane_count;
	struct lane **numbers; /* by number; NULL where free */
	uint32_t number_count, number_size;
	uint32_t *free_numbers;
	size_t free_count;
	struct lane_heap back_offs, asleep;
	struct stock_list full;
	size_t share; /* as lane_take() was told last */
	uint64_t last_turn, ticket_count;
};

/* -- heaps */

static void
set_node(struct lane_heap *heap, size_t at, struct lane_node *node)
{
	heap->nodes[at] = node;
	node->at = at;
}

/* Moves the node at this place to where its key belongs. */
static void
settle_node(struct lane_heap *heap, size_t at)
{
	struct lane_node *node = heap->nodes[at];
	size_t child;

	while (at > 0 && heap->nodes[(at - 1) / 2]->key > node->key) {
		set_node(heap, at, heap->nodes[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	while ((child = at * 2 + 1) < heap->count) {
		if (child + 1 < heap->count &&
		    heap->nodes[child + 1]->key < heap->nodes[child]->key)
			child++;
		if (heap->nodes[child]->key >= node->key)
			break;
		set_node(heap, at, heap->nodes[child]);
		at = child;
	}
	set_node(heap, at, node);
}

static void
add_node(struct lane_heap *heap, struct lane_node *node, int64_t key)
{
	if (heap->count == heap->size) {
		heap->size = heap->size * 2 + 16;
		heap->nodes = xrealloc(
		    heap->nodes, heap->size * sizeof(struct lane_node *));
	}
	node->key = key;
	set_node(heap, heap->count++, node);
	settle_node(heap, node->at);
}

static void
remove_node(struct lane_heap *heap, struct lane_node *node)
{
	size_t at = node->at;

	if (at == --heap->count)
		return;
	set_node(heap, at, heap->nodes[heap->count]);
	settle_node(heap, at);
}

static struct lane_stock *
stock_of_node(struct lane_node *node)
{
	return (struct lane_stock *)node; /* its first member */
}

static struct lane *
lane_of_node(struct lane_node *node)
{
	return (struct lane *)node; /* its first member */
}

/* -- a stock's tickets, a heap by due time */

static void
sink_ticket(struct lane_stock *stock, size_t at)
{
	struct lane_ticket ticket = stock->tickets[at];
	size_t child;

	while ((child = at * 2 + 1) < stock->count) {
		if (child + 1 < stock->count &&
		    stock->tickets[child + 1].due_s <
			stock->tickets[child].due_s)
			child++;
		if (stock->tickets[child].due_s >= ticket.due_s)
			break;
		stock->tickets[at] = stock->tickets[child];
		at = child;
	}
	stock->tickets[at] = ticket;
}

static void
resize_stock(struct lane_stock *stock, size_t size)
{
	stock->size = size;
	stock->tickets = xrealloc(
	    stock->tickets, size * sizeof(*stock->tickets));
}

static void
add_ticket(struct lane_stock *stock, const struct lane_ticket *ticket)
{
	size_t at = stock->count++;

	if (stock->count > stock->size)
		resize_stock(stock, stock->size + stock->size / 4 + 1);
	for (; at > 0 && stock->tickets[(at - 1) / 2].due_s > ticket->due_s;
	     at = (at - 1) / 2)
		stock->tickets[at] = stock->tickets[(at - 1) / 2];
	stock->tickets[at] = *ticket;
}

static struct lane_ticket
take_first_ticket(struct lane_stock *stock)
{
	struct lane_ticket first = stock->tickets[0];

	stock->tickets[0] = stock->tickets[--stock->count];
	if (stock->count > 0)
		sink_ticket(stock, 0);
	if (stock->size > 1024 && stock->count < stock->size / 4)
		resize_stock(stock, stock->size / 2);
	return first;
}

/* -- stocks */

static struct stock_list *
ready_list(struct lane_table *table, const struct lane_stock *stock)
{
	return &table->kinds[stock->lane->kind].ready[stock->channel];
}

/* Out of the heap or list that it is in. */
static void
unplace_stock(struct lane_table *table, struct lane_stock *stock)
{
	switch (stock->state) {
	case STOCK_ASLEEP:
		remove_node(&table->asleep, &stock->due);
		break;
	case STOCK_READY:
		TAILQ_REMOVE(ready_list(table, stock), stock, in_list);
		break;
	case STOCK_FULL:
		TAILQ_REMOVE(&table->full, stock, in_list);
		break;
	case STOCK_BACKS_OFF:
		break;
	}
}

/* Into the one where it belongs; lane_take() finds out what is due. */
static void
place_stock(struct lane_table *table, struct lane_stock *stock)
{
	if (stock->lane->back_off.key != 0)
		stock->state = STOCK_BACKS_OFF;
	else if (stock->lane->loaded >= table->share) {
		stock->state = STOCK_FULL;
		TAILQ_INSERT_TAIL(&table->full, stock, in_list);
	} else {
		stock->state = STOCK_ASLEEP;
		add_node(&table->asleep, &stock->due, stock->tickets[0].due_s);
	}
}

static void
make_ready(struct lane_table *table, struct lane_stock *stock)
{
	stock->state = STOCK_READY;
	stock->turn = ++table->last_turn;
	TAILQ_INSERT_TAIL(ready_list(table, stock), stock, in_list);
}

/* Does the state say what it should, as far as the lane is concerned? */
static bool
is_well_placed(const struct lane_table *table, const struct lane_stock *stock)
{
	if (stock->lane->back_off.key != 0)
		return stock->state == STOCK_BACKS_OFF;
	if (stock->lane->loaded >= table->share)
		return stock->state == STOCK_FULL;
	return stock->state == STOCK_ASLEEP || stock->state == STOCK_READY;
}

/* After its lane, or the share, has changed. */
static void
replace_stock(struct lane_table *table, struct lane_stock *stock)
{
	if (is_well_placed(table, stock))
		return;
	unplace_stock(table, stock);
	place_stock(table, stock);
}

static void
replace_stocks(struct lane_table *table, struct lane *lane)
{
	unsigned channel;

	for (channel = 0; channel < ROUTE_CHANNEL_COUNT; channel++)
		if (lane->stocks[channel] != NULL)
			replace_stock(table, lane->stocks[channel]);
}

static void
free_stock(struct lane_stock *stock)
{
	if (stock == NULL)
		return;
	free(stock->tickets);
	free(stock);
}

/* -- lanes */

static size_t
bucket_of(const struct lane_table *table, enum lane_kind kind, const char *key)
{
	uint64_t hash = 14695981039346656037u + (unsigned)kind; /* FNV-1a */

	for (; *key != '\0'; key++)
		hash = (hash ^ (unsigned char)*key) * 1099511628211u;
	return (size_t)(hash ^ hash >> 32) & (table->bucket_count - 1);
}

static void
grow_buckets(struct lane_table *table)
{
	uint32_t i;

	table->bucket_count = table->bucket_count * 2 +
	    64 * !table->bucket_count;
	free(table->buckets);
	table->buckets = xcalloc(table->bucket_count, sizeof(struct lane *));
	for (i = 0; i < table->number_count; i++) {
		struct lane *lane = table->numbers[i];
		size_t bucket;

		if (lane == NULL)
			continue;
		bucket = bucket_of(table, lane->kind, lane->key);
		lane->next = table->buckets[bucket];
		table->buckets[bucket] = lane;
	}
}

/* Numbers begin with 1; those of lanes that are gone are used again. */
static uint32_t
take_number(struct lane_table *table)
{
	if (table->free_count > 0)
		return table->free_numbers[--table->free_count];
	if (table->number_count == table->number_size) {
		table->number_size = table->number_size * 2 + 64;
		table->numbers = xrealloc(
		    table->numbers, table->number_size * sizeof(struct lane *));
		table->free_numbers = xrealloc(table->free_numbers,
		    table->number_size * sizeof(*table->free_numbers));
	}
	table->numbers[table->number_count] = NULL;
	return ++table->number_count;
}

struct lane_table *
lane_table_new(void)
{
	struct lane_table *table = xcalloc(1, sizeof(*table));
	enum lane_kind kind;
	unsigned channel;

	for (kind = 0; kind < LANE_KIND_COUNT; kind++) {
		table->kinds[kind].limit = UINT_MAX;
		TAILQ_INIT(&table->kinds[kind].turn);
		for (channel = 0; channel < ROUTE_CHANNEL_COUNT; channel++)
			TAILQ_INIT(&table->kinds[kind].ready[channel]);
	}
	TAILQ_INIT(&table->full);
	table->share = SIZE_MAX;
	grow_buckets(table);
	return table;
}

static void
free_lane(struct lane *lane)
{
	unsigned channel;

	for (channel = 0; channel < ROUTE_CHANNEL_COUNT; channel++)
		free_stock(lane->stocks[channel]);
	free(lane->reason);
	free(lane);
}

void
lane_table_free(struct lane_table **table_in)
{
	struct lane_table *table = *table_in;
	uint32_t i;

	if (table == NULL)
		return;
	for (i = 0; i < table->number_count; i++)
		if (table->numbers[i] != NULL)
			free_lane(table->numbers[i]);
	free(table->numbers);
	free(table->free_numbers);
	free(table->buckets);
	free(table->back_offs.nodes);
	free(table->asleep.nodes);
	free(table);
	*table_in = NULL;
}

struct lane *
lane_find(struct lane_table *table, enum lane_kind kind, const char *key)
{
	struct lane *lane = table->buckets[bucket_of(table, kind, key)];

	while (
	    lane != NULL && (lane->kind != kind || strcmp(lane->key, key) != 0))
		lane = lane->next;
	return lane;
}

struct lane *
lane_hold(struct lane_table *table, enum lane_kind kind, const char *key)
{
	struct lane *lane = lane_find(table, kind, key);
	size_t length = strlen(key), bucket;

	if (lane != NULL) {
		lane->holders++;
		return lane;
	}
	lane = xcalloc(1, sizeof(*lane) + length + 1);
	memcpy(lane->key, key, length + 1);
	lane->kind = kind;
	lane->holders = 1;
	TAILQ_INIT(&lane->parts);
	lane->number = take_number(table);
	table->numbers[lane->number - 1] = lane;
	if (++table->lane_count > table->bucket_count)
		grow_buckets(table); /* with this one */
	else {
		bucket = bucket_of(table, kind, key);
		lane->next = table->buckets[bucket];
		table->buckets[bucket] = lane;
	}
	return lane;
}

static bool
is_lane_used(const struct lane *lane)
{
	return lane->holders > 0 || lane->part_count > 0 || lane->loaded > 0 ||
	    lane->running > 0 || lane->back_off.key != 0 ||
	    lane->stocks[ROUTE_LOCAL] != NULL ||
	    lane->stocks[ROUTE_REMOTE] != NULL;
}

static void
drop_unused_lane(struct lane_table *table, struct lane *lane)
{
	struct lane **link;

	if (is_lane_used(lane))
		return;
	link = &table->buckets[bucket_of(table, lane->kind, lane->key)];
	while (*link != lane)
		link = &(*link)->next;
	*link = lane->next;
	table->lane_count--;
	table->numbers[lane->number - 1] = NULL;
	table->free_numbers[table->free_count++] = lane->number;
	free_lane(lane);
}

void
lane_release(struct lane_table *table, struct lane *lane)
{
	assert(lane->holders > 0);
	lane->holders--;
	drop_unused_lane(table, lane);
}

struct lane *
lane_of_number(const struct lane_table *table, uint32_t number)
{
	return number == 0 || number > table->number_count
	    ? NULL
	    : table->numbers[number - 1];
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

uint32_t
lane_number(const struct lane *lane)
{
	return lane->number;
}

/* -- limits and back-offs */

/* In its kind's turn while a part of it may be started. */
static void
update_turn(struct lane_table *table, struct lane *lane)
{
	struct lane_list *turn = &table->kinds[lane->kind].turn;
	bool may_start = !TAILQ_EMPTY(&lane->parts) &&
	    lane->back_off.key == 0 &&
	    (lane->limit == 0 || lane->running < lane->limit);

	if (may_start == lane->is_in_turn)
		return;
	lane->is_in_turn = may_start;
	if (may_start)
		TAILQ_INSERT_TAIL(turn, lane, in_turn);
	else
		TAILQ_REMOVE(turn, lane, in_turn);
}

void
lane_set_limit(struct lane_table *table, enum lane_kind kind, unsigned limit)
{
	table->kinds[kind].limit = limit;
}

void
lane_set_held(struct lane_table *table, enum lane_kind kind, bool is_held)
{
	table->kinds[kind].is_held = is_held;
}

void
lane_limit(struct lane_table *table, struct lane *lane, unsigned limit)
{
	lane->limit = limit;
	update_turn(table, lane);
}

void
lane_back_off(struct lane_table *table, struct lane *lane, int64_t until_ms,
    const char *reason)
{
	if (lane->back_off.key != 0)
		remove_node(&table->back_offs, &lane->back_off);
	free(lane->reason);
	lane->reason = until_ms == 0 ? NULL : xstrdup(reason);
	lane->back_off.key = 0;
	if (until_ms != 0)
		add_node(&table->back_offs, &lane->back_off, until_ms);
	update_turn(table, lane);
	replace_stocks(table, lane);
	drop_unused_lane(table, lane);
}

int64_t
lane_run_timers(struct lane_table *table, int64_t now_ms)
{
	struct lane_heap *heap = &table->back_offs;

	while (heap->count > 0 && heap->nodes[0]->key <= now_ms)
		lane_back_off(table, lane_of_node(heap->nodes[0]), 0, NULL);
	return heap->count == 0 ? 0 : heap->nodes[0]->key;
}

int64_t
lane_backs_off_until_ms(const struct lane *lane)
{
	return lane->back_off.key;
}

bool
lane_is_resting(const struct lane_table *table, const struct lane *lane)
{
	return lane->back_off.key != 0 || table->kinds[lane->kind].is_held;
}

/* -- parts */

void
lane_part_init(
    struct lane_table *table, struct lane_part *part, struct lane *lane)
{
	(void)table;
	part->lane = lane;
	part->is_in_line = false;
	lane->part_count++;
}

void
lane_part_release(struct lane_table *table, struct lane_part *part)
{
	lane_part_leave(table, part);
	part->lane->part_count--;
	drop_unused_lane(table, part->lane);
	part->lane = NULL;
}

void
lane_part_enter(struct lane_table *table, struct lane_part *part)
{
	struct lane *lane = part->lane;

	if (part->is_in_line)
		return;
	part->is_in_line = true;
	TAILQ_INSERT_TAIL(&lane->parts, part, in_line);
	lane->parts_in_line++;
	update_turn(table, lane);
}

void
lane_part_leave(struct lane_table *table, struct lane_part *part)
{
	struct lane *lane = part->lane;

	if (!part->is_in_line)
		return;
	part->is_in_line = false;
	TAILQ_REMOVE(&lane->parts, part, in_line);
	lane->parts_in_line--;
	update_turn(table, lane);
}

struct lane_part *
lane_next(struct lane_table *table, enum lane_kind kind, unsigned *room_out)
{
	struct lane_kind_state *state = &table->kinds[kind];
	struct lane *lane = TAILQ_FIRST(&state->turn);
	struct lane_part *part;

	if (lane == NULL || state->is_held || state->running >= state->limit)
		return NULL;
	*room_out = state->limit - state->running;
	if (lane->limit != 0 && lane->limit - lane->running < *room_out)
		*room_out = lane->limit - lane->running;
	part = TAILQ_FIRST(&lane->parts);
	/* The lane's next turn is after all others'. */
	TAILQ_REMOVE(&state->turn, lane, in_turn);
	lane->is_in_turn = false;
	lane_part_leave(table, part);
	update_turn(table, lane);
	return part;
}

void
lane_started(struct lane_table *table, struct lane *lane, unsigned count)
{
	lane->running += count;
	table->kinds[lane->kind].running += count;
	update_turn(table, lane);
}

void
lane_ended(struct lane_table *table, struct lane *lane, unsigned count)
{
	assert(lane->running >= count);
	lane->running -= count;
	table->kinds[lane->kind].running -= count;
	update_turn(table, lane);
	drop_unused_lane(table, lane);
}

unsigned
lane_running(const struct lane_table *table, enum lane_kind kind)
{
	return table->kinds[kind].running;
}

/* -- tickets */

static struct lane_stock *
new_stock(struct lane *lane, unsigned channel)
{
	struct lane_stock *stock = xcalloc(1, sizeof(*stock));

	stock->lane = lane;
	stock->channel = channel;
	return stock;
}

void
lane_wait(struct lane_table *table, const struct lane_ticket *ticket)
{
	struct lane *lane = lane_of_number(table, ticket->lane);
	struct lane_stock **stock;

	assert(lane != NULL && ticket->channel < ROUTE_CHANNEL_COUNT);
	table->ticket_count++;
	stock = &lane->stocks[ticket->channel];
	if (*stock == NULL) {
		*stock = new_stock(lane, ticket->channel);
		add_ticket(*stock, ticket);
		place_stock(table, *stock);
		return;
	}
	add_ticket(*stock, ticket);
	if ((*stock)->state == STOCK_ASLEEP &&
	    (*stock)->due.key > ticket->due_s) {
		(*stock)->due.key = ticket->due_s;
		settle_node(&table->asleep, (*stock)->due.at);
	}
}

static void
set_share(struct lane_table *table, size_t share)
{
	bool has_grown = share > table->share;
	struct lane_stock *stock, *next;

	table->share = share;
	if (!has_grown)
		return; /* first_ready() looks */
	for (stock = TAILQ_FIRST(&table->full); stock != NULL; stock = next) {
		next = TAILQ_NEXT(stock, in_list);
		replace_stock(table, stock);
	}
}

static void
wake_due_stocks(struct lane_table *table, time_t now)
{
	struct lane_heap *heap = &table->asleep;

	while (heap->count > 0 && heap->nodes[0]->key <= now) {
		struct lane_stock *stock = stock_of_node(heap->nodes[0]);

		unplace_stock(table, stock);
		make_ready(table, stock);
	}
}

/* The first of the list; lanes that have their share by now leave it. */
static struct lane_stock *
first_ready(struct lane_table *table, struct stock_list *list)
{
	struct lane_stock *stock;

	while ((stock = TAILQ_FIRST(list)) != NULL &&
	    !is_well_placed(table, stock))
		replace_stock(table, stock);
	return stock;
}

/* The stock whose turn it is, or NULL. */
static struct lane_stock *
next_stock(struct lane_table *table,
    bool (*may_take)(enum lane_kind kind, unsigned channel, void *context),
    void *context)
{
	struct lane_stock *best = NULL;
	enum lane_kind kind;
	unsigned channel;

	for (kind = 0; kind < LANE_KIND_COUNT; kind++)
		for (channel = 0; channel < ROUTE_CHANNEL_COUNT &&
		     !table->kinds[kind].is_held;
		     channel++) {
			struct lane_stock *stock = first_ready(
			    table, &table->kinds[kind].ready[channel]);

			if (stock != NULL &&
			    (best == NULL || stock->turn < best->turn) &&
			    (may_take == NULL ||
				may_take(kind, channel, context)))
				best = stock;
		}
	return best;
}

bool
lane_take(struct lane_table *table, time_t now, size_t share,
    bool (*may_take)(enum lane_kind kind, unsigned channel, void *context),
    void *context, struct lane_ticket *ticket_out)
{
	struct lane_stock *stock;

	if (share != table->share)
		set_share(table, share);
	wake_due_stocks(table, now);
	stock = next_stock(table, may_take, context);
	if (stock == NULL)
		return false;
	table->ticket_count--;
	*ticket_out = take_first_ticket(stock);
	stock->lane->holders++; /* the caller's */
	unplace_stock(table, stock);
	if (stock->count == 0) {
		stock->lane->stocks[stock->channel] = NULL;
		free_stock(stock);
	} else if (stock->tickets[0].due_s <= now)
		make_ready(table, stock);
	else
		place_stock(table, stock);
	return true;
}

void
lane_loaded(struct lane_table *table, struct lane *lane, int change)
{
	assert(change > 0 || lane->loaded >= (size_t)-change);
	lane->loaded += (size_t)change;
	replace_stocks(table, lane);
	drop_unused_lane(table, lane);
}

time_t
lane_next_due(const struct lane_table *table)
{
	if (table->asleep.count == 0)
		return 0;
	return table->asleep.nodes[0]->key > 0 ? table->asleep.nodes[0]->key
					       : 1; /* 0 is never */
}

static bool
visit_any(const struct lane_ticket *ticket, void *context)
{
	(void)ticket;
	(void)context;
	return true;
}

void
lane_all_now(struct lane_table *table)
{
	lane_hurry(table, visit_any, NULL);
}

static size_t
hurry_stock(struct lane_table *table, struct lane_stock *stock,
    bool (*visit)(const struct lane_ticket *ticket, void *context),
    void *context)
{
	size_t i, count = 0;

	for (i = 0; i < stock->count; i++)
		if (visit(&stock->tickets[i], context)) {
			stock->tickets[i].due_s = 0;
			count++;
		}
	if (count == 0)
		return 0;
	for (i = stock->count / 2; i > 0; i--)
		sink_ticket(stock, i - 1);
	if (stock->state == STOCK_ASLEEP) {
		stock->due.key = 0;
		settle_node(&table->asleep, stock->due.at);
	}
	return count;
}

size_t
lane_hurry(struct lane_table *table,
    bool (*visit)(const struct lane_ticket *ticket, void *context),
    void *context)
{
	size_t count = 0;
	unsigned channel;
	uint32_t i;

	for (i = 0; i < table->number_count; i++)
		for (channel = 0; channel < ROUTE_CHANNEL_COUNT; channel++)
			if (table->numbers[i] != NULL &&
			    table->numbers[i]->stocks[channel] != NULL)
				count += hurry_stock(table,
				    table->numbers[i]->stocks[channel], visit,
				    context);
	return count;
}

uint64_t
lane_ticket_count(const struct lane_table *table)
{
	return table->ticket_count;
}

bool
lane_has_ticket(const struct lane_table *table, uint64_t id, unsigned channel)
{
	uint32_t i;
	size_t j;

	for (i = 0; i < table->number_count; i++) {
		const struct lane_stock *stock = table->numbers[i] == NULL
		    ? NULL
		    : table->numbers[i]->stocks[channel];

		for (j = 0; stock != NULL && j < stock->count; j++)
			if (stock->tickets[j].id == id)
				return true;
	}
	return false;
}

uint32_t
lane_sender_hash(const char *sender)
{
	uint32_t hash = 2166136261u; /* FNV-1a */

	for (; *sender != '\0'; sender++) {
		unsigned char c = (unsigned char)*sender;

		if (c >= 'A' && c <= 'Z')
			c = (unsigned char)(c - 'A' + 'a');
		hash = (hash ^ c) * 16777619u;
	}
	return hash == 0 ? 1 : hash;
}

/* -- for people */

void
lane_visit(const struct lane_table *table,
    void (*visit)(const struct lane_info *info, void *context), void *context)
{
	uint32_t i;

	for (i = 0; i < table->number_count; i++) {
		const struct lane *lane = table->numbers[i];
		struct lane_info info;
		unsigned channel;

		if (lane == NULL)
			continue;
		info = (struct lane_info){ .kind = lane->kind,
			.key = lane->key,
			.running = lane->running,
			.limit = lane->limit,
			.parts = lane->parts_in_line,
			.loaded = lane->loaded,
			.backoff_until_ms = lane->back_off.key,
			.reason = lane->reason == NULL ? "" : lane->reason };
		for (channel = 0; channel < ROUTE_CHANNEL_COUNT; channel++)
			if (lane->stocks[channel] != NULL)
				info.tickets += lane->stocks[channel]->count;
		visit(&info, context);
	}
}
