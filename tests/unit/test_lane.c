/* SPDX-License-Identifier: ISC */
/* Tests of queue/lane.c. */
#include "queue/lane.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "queue/route.h"

enum { NOW = 1000000, SHARE = 2 };

static struct lane_table *table;

static int
setup(void **state)
{
	(void)state;
	table = lane_table_new(SHARE);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	lane_table_free(&table);
	lane_table_free(&table);
	return table != NULL;
}

/* A lane that stays until lane_ended(). */
static struct lane *
hold(enum lane_kind kind, const char *key)
{
	struct lane *lane = lane_get(table, kind, key);

	lane_started(table, lane);
	return lane;
}

static void
wait_in(struct lane *lane, uint64_t id, time_t due)
{
	lane_wait(table, lane, id, due);
}

/* Takes a ticket; its id, or 0. */
static uint64_t
take_at(time_t now)
{
	enum lane_kind kind;
	uint64_t id;

	return lane_take(table, now, NULL, NULL, &id, &kind) ? id : 0;
}

static void
keys_and_lifetime(void **state)
{
	struct lane *a = hold(LANE_REMOTE, "a.test");
	uint64_t number = lane_number(a);

	(void)state;
	assert_int_not_equal(number, 0);
	assert_string_equal(lane_key(a), "a.test");
	assert_int_equal(lane_get_kind(a), LANE_REMOTE);
	assert_ptr_equal(hold(LANE_REMOTE, "a.test"), a);
	assert_ptr_equal(lane_find(table, LANE_REMOTE, "a.test"), a);
	assert_null(lane_find(table, LANE_LOCAL, "a.test"));
	lane_ended(table, a);
	assert_non_null(lane_find(table, LANE_REMOTE, "a.test"));
	lane_ended(table, a);
	assert_null(lane_find(table, LANE_REMOTE, "a.test"));
	/* Many, and the last ones go first. */
	for (unsigned round = 0; round < 2; round++) {
		static struct lane *many[1000];
		char key[16];

		for (unsigned i = 0; i < 1000; i++) {
			snprintf(key, sizeof(key), "%u.test", i);
			many[i] = hold(LANE_REMOTE, key);
			assert_true(lane_number(many[i]) > number);
		}
		for (unsigned i = 0; i < 1000; i++) {
			snprintf(key, sizeof(key), "%u.test", i);
			assert_ptr_equal(
			    lane_find(table, LANE_REMOTE, key), many[i]);
		}
		for (unsigned i = 1000; i > 0; i--)
			lane_ended(table, many[i - 1]);
	}
	assert_null(lane_find(table, LANE_REMOTE, "7.test"));
}

/* What keeps a lane, one thing at a time. */
static void
what_keeps_a_lane(void **state)
{
	struct lane_part part;
	struct lane *lane = hold(LANE_REMOTE, "a");

	(void)state;
	lane_part_init(&part, lane, true);
	lane_ended(table, lane);
	lane_started(table, lane);
	lane_started(table, lane);
	lane_part_release(table, &part);
	lane_back_off(table, lane, 500, "why");
	lane_ended(table, lane);
	lane_ended(table, lane);
	wait_in(lane, 7, NOW);
	lane_run_timers(table, 500);
	assert_ptr_equal(lane_find(table, LANE_REMOTE, "a"), lane);
	assert_int_equal(take_at(NOW), 7);
	assert_null(lane_find(table, LANE_REMOTE, "a"));
}

static void
due_times(void **state)
{
	struct lane *lane = hold(LANE_REMOTE, "a");

	(void)state;
	/* Not in the order of their times. */
	for (unsigned i = 0; i < 100; i++)
		wait_in(lane, 1 + i * 37 % 100, NOW + i * 37 % 100);
	assert_int_equal(lane_ticket_count(table), 100);
	assert_int_equal(take_at(NOW - 1), 0);
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(take_at(NOW + i), i + 1);
		assert_int_equal(take_at(NOW + i), 0);
	}
	assert_int_equal(lane_ticket_count(table), 0);
	/* An earlier one wakes a lane that sleeps. */
	wait_in(lane, 1, NOW + 50);
	wait_in(lane, 2, NOW + 10);
	assert_int_equal(take_at(NOW + 20), 2);
	assert_int_equal(take_at(NOW + 20), 0);
	assert_int_equal(take_at(NOW + 50), 1);
	lane_ended(table, lane);
}

/* One lane with 100,000 tickets, due earlier, does not starve the others. */
static void
tickets_in_turn(void **state)
{
	struct lane *big = hold(LANE_REMOTE, "big");
	struct lane *small = hold(LANE_REMOTE, "small");
	struct lane *virtual = hold(LANE_VIRTUAL, "virtual");
	unsigned got_small = 0, got_virtual = 0;

	(void)state;
	for (uint64_t id = 1; id <= 100000; id++)
		wait_in(big, id, 1);
	for (uint64_t id = 1; id <= 10; id++) {
		wait_in(small, 200000 + id, NOW - 1);
		wait_in(virtual, 300000 + id, NOW);
	}
	for (unsigned turn = 0; turn < 30; turn++) {
		uint64_t id = take_at(NOW);

		got_small += id > 200000 && id < 300000;
		got_virtual += id > 300000;
	}
	assert_int_equal(got_small, 10);
	assert_int_equal(got_virtual, 10);
	lane_ended(table, big);
	lane_ended(table, small);
	lane_ended(table, virtual);
}

/* A lane takes up its share of memory, and no more until it gives some back. */
static void
share_of_memory(void **state)
{
	struct lane *a = hold(LANE_REMOTE, "a");
	struct lane *b = hold(LANE_REMOTE, "b");
	struct lane_part parts[3], fresh[9];

	(void)state;
	lane_set_room(table, a, 1);
	for (uint64_t id = 1; id <= 10; id++)
		wait_in(a, id, NOW);
	wait_in(b, 99, NOW + 5);
	/* However much new mail there is, the old gets its turn. */
	for (size_t i = 0; i < 9; i++)
		lane_part_init(&fresh[i], a, false);
	lane_part_init(&parts[0], a, true);
	assert_in_range(take_at(NOW), 1, 10);
	lane_part_init(&parts[1], a, true);
	assert_int_equal(take_at(NOW), 0);
	assert_false(lane_is_over_share(table, a));
	assert_int_equal(take_at(NOW + 5), 99);
	lane_part_release(table, &parts[1]);
	assert_in_range(take_at(NOW), 1, 10);
	lane_part_init(&parts[1], a, true);
	/* What comes while it has its share waits, too. */
	wait_in(a, 50, 1);
	assert_int_equal(take_at(NOW), 0);
	/* New mail asks nobody. */
	lane_part_init(&parts[2], a, true);
	assert_true(lane_is_over_share(table, a));
	lane_part_release(table, &parts[2]);
	assert_int_equal(take_at(NOW), 0);
	lane_part_release(table, &parts[1]);
	/* Without room one is enough, to ask for it. */
	lane_set_room(table, a, 0);
	assert_int_equal(take_at(NOW), 0);
	lane_set_room(table, a, 1);
	assert_int_equal(take_at(NOW), 50);
	lane_set_room(table, a, 0);
	lane_part_release(table, &parts[0]);
	for (size_t i = 0; i < 9; i++)
		lane_part_release(table, &fresh[i]);
	lane_ended(table, a);
	lane_ended(table, b);
}

struct filter {
	enum lane_kind kind;
	unsigned asked;
};

static bool
is_wanted(enum lane_kind kind, void *context)
{
	struct filter *filter = context;

	filter->asked++;
	return kind == filter->kind;
}

/* Nobody is there for a kind, or it is held. */
static void
who_takes(void **state)
{
	struct filter filter = { LANE_MIXED_LOCAL, 0 };
	struct lane *mixed[2] = { hold(LANE_MIXED_LOCAL, ""),
		hold(LANE_MIXED_REMOTE, "") };
	struct lane *lanes[1000];
	enum lane_kind kind;
	uint64_t id;

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		char key[16];

		snprintf(key, sizeof(key), "%u.test", i);
		lanes[i] = hold(LANE_REMOTE, key);
		wait_in(lanes[i], 100 + i, 1);
	}
	for (unsigned i = 0; i < 10; i++)
		wait_in(mixed[i % 2], 1 + i, 1);
	for (unsigned i = 0; i < 5; i++) {
		assert_true(
		    lane_take(table, NOW, is_wanted, &filter, &id, &kind));
		assert_int_equal(kind, LANE_MIXED_LOCAL);
		assert_int_equal(lane_channel(kind), ROUTE_LOCAL);
		assert_int_equal(id % 2, 1);
	}
	assert_false(lane_take(table, NOW, is_wanted, &filter, &id, &kind));
	/* Of kinds, not of lanes. */
	assert_in_range(filter.asked, 6, 6 * LANE_KIND_COUNT);
	filter.kind = LANE_MIXED_REMOTE;
	lane_set_held(table, LANE_MIXED_REMOTE, true);
	assert_false(lane_take(table, NOW, is_wanted, &filter, &id, &kind));
	lane_set_held(table, LANE_MIXED_REMOTE, false);
	assert_true(lane_take(table, NOW, is_wanted, &filter, &id, &kind));
	assert_int_equal(lane_channel(kind), ROUTE_REMOTE);
	for (unsigned i = 0; i < 1000; i++)
		lane_ended(table, lanes[i]);
	lane_ended(table, mixed[0]);
	lane_ended(table, mixed[1]);
}

/* Its tickets cost nothing, however many; one timer ends it. */
static void
back_off_costs_one_timer(void **state)
{
	enum { TICKETS = 300000, TAKES = 100000 };
	struct lane *off = hold(LANE_REMOTE, "off");
	struct lane *on = hold(LANE_REMOTE, "on");
	clock_t began;

	(void)state;
	for (uint64_t id = 1; id <= TICKETS; id++)
		wait_in(off, id, 1);
	lane_back_off(table, off, 5000, "why");
	lane_run_timers(table, 4999);
	assert_int_equal(lane_backs_off_until_ms(off), 5000);
	assert_int_equal(lane_count_backing_off(table), 1);
	assert_int_equal(take_at(NOW), 0);
	/* Looking at each of them would take hours. */
	began = clock();
	for (uint64_t id = 1; id <= TAKES; id++) {
		wait_in(off, TICKETS + id, 1);
		wait_in(on, TICKETS + id, NOW);
		assert_int_equal(take_at(NOW), TICKETS + id);
		lane_run_timers(table, 4999);
	}
	assert_in_range(clock() - began, 0, 20 * CLOCKS_PER_SEC);
	lane_run_timers(table, 5000);
	assert_int_equal(lane_count_backing_off(table), 0);
	assert_in_range(take_at(NOW), 1, TICKETS + TAKES);
	/* Longer, then shorter, then at once. */
	lane_back_off(table, off, 9000, "why");
	lane_back_off(table, off, 7000, "why");
	lane_back_off(table, on, 8000, "why");
	assert_int_equal(lane_count_backing_off(table), 2);
	lane_run_timers(table, 6999);
	assert_int_equal(take_at(NOW), 0);
	lane_run_timers(table, 7000);
	assert_int_not_equal(take_at(NOW), 0);
	lane_back_off(table, on, 0, "why");
	assert_int_equal(lane_count_backing_off(table), 0);
	/* The timer of the first one ends nothing. */
	lane_back_off(table, off, 9500, "why");
	lane_run_timers(table, 9000);
	assert_int_equal(lane_backs_off_until_ms(off), 9500);
	lane_back_off(table, off, 0, "why");
	lane_ended(table, off);
	lane_ended(table, on);
}

/* Their tickets stay where they are while a clock is set back. */
static void
clock_set_back(void **state)
{
	struct lane *lane = hold(LANE_REMOTE, "a");

	(void)state;
	wait_in(lane, 1, NOW);
	wait_in(lane, 2, NOW + 1);
	assert_int_equal(take_at(NOW + 1), 1);
	assert_int_equal(take_at(NOW - 100), 0);
	assert_int_equal(lane_ticket_count(table), 1);
	assert_int_equal(take_at(NOW + 1), 2);
	lane_ended(table, lane);
}

static void
hurry_all(void **state)
{
	struct lane *a = hold(LANE_REMOTE, "a");
	struct lane *b = hold(LANE_LOCAL, "local");

	(void)state;
	for (uint64_t id = 1; id <= 100; id++)
		wait_in(id % 2 == 0 ? a : b, id, (uint32_t)(NOW + id));
	assert_int_equal(take_at(NOW), 0);
	lane_back_off(table, a, 5000, "why");
	lane_all_now(table);
	assert_int_equal(lane_count_backing_off(table), 0);
	for (unsigned i = 0; i < 100; i++)
		assert_int_not_equal(take_at(NOW), 0);
	assert_int_equal(take_at(NOW), 0);
	lane_ended(table, a);
	lane_ended(table, b);
}

static void
note_ticket(uint64_t id, enum lane_kind kind, void *context)
{
	uint64_t *sum = context;

	*sum += id * (lane_channel(kind) == ROUTE_REMOTE ? 1000 : 1);
}

static enum schedule_verdict
judge_by_id(uint64_t id, enum lane_kind kind, void *context)
{
	(void)context;
	assert_int_equal(kind, LANE_REMOTE);
	return id == 3 ? SCHEDULE_TAKEN
	    : id == 2  ? SCHEDULE_NOW
		       : SCHEDULE_STAYS;
}

/* Of a lane that backs off one is due now, and one is there no more. */
static void
judged_tickets(void **state)
{
	(void)state;
	for (uint64_t id = 1; id <= 4; id++)
		wait_in(lane_get(table, LANE_REMOTE, "a.test"), id,
		    NOW + (time_t)id);
	wait_in(lane_get(table, LANE_REMOTE, "b.test"), 3, NOW);
	lane_back_off(
	    table, lane_find(table, LANE_REMOTE, "a.test"), 1u << 30, "down");
	lane_judge_tickets(table, judge_by_id, NULL);
	assert_null(lane_find(table, LANE_REMOTE, "b.test"));
	assert_int_equal(lane_ticket_count(table), 3);
	assert_int_equal(take_at(NOW), 2);
	assert_int_equal(take_at(NOW), 0);
	assert_int_equal(take_at(NOW + 1), 1);
	assert_int_equal(take_at(NOW + 4), 4);
}

/* Held is a key, whatever lanes come and go. */
static void
held_lanes(void **state)
{
	(void)state;
	assert_true(lane_hold(table, "b.test", true));
	assert_true(lane_hold(table, "a.test", true));
	assert_false(lane_hold(table, "a.test", true));
	assert_string_equal(lane_held_key(table, 0), "a.test");
	assert_string_equal(lane_held_key(table, 1), "b.test");
	assert_null(lane_held_key(table, 2));
	wait_in(lane_get(table, LANE_REMOTE, "a.test"), 1, NOW);
	wait_in(lane_get(table, LANE_REMOTE, "c.test"), 2, NOW + 50);
	assert_true(
	    lane_is_resting(table, lane_find(table, LANE_REMOTE, "a.test")));
	assert_int_equal(take_at(NOW), 0);
	assert_int_equal(lane_retry_key(table, "c.test"), 1);
	assert_int_equal(lane_retry_key(table, "d.test"), 0);
	assert_int_equal(take_at(NOW), 2);
	assert_true(lane_hold(table, "a.test", false));
	assert_int_equal(take_at(NOW), 1);
}

/* A domain's key stands for the lanes of its senders, too. */
/*
 * Of another node: rooms and rests are a remote lane's, its tickets are of local
 * recipients, and are read while it rests, to ask anew where they go.
 */
static void
lanes_of_nodes(void **state)
{
	struct lane_part part;
	struct lane *lane = lane_get(table, LANE_NODE, "@node2");
	enum lane_kind kind = LANE_REMOTE;
	enum job_wish wish;
	unsigned room;
	uint64_t id;

	(void)state;
	assert_int_equal(lane_kind_of_key(LANE_REMOTE, "@node2"), LANE_NODE);
	assert_int_equal(lane_kind_of_key(LANE_REMOTE, "node2"), LANE_REMOTE);
	assert_int_equal(lane_kind_of_key(LANE_VIRTUAL, "@x"), LANE_VIRTUAL);
	assert_int_equal(lane_channel(LANE_NODE), ROUTE_LOCAL);
	assert_int_equal(lane_way(LANE_NODE), ROUTE_REMOTE);
	assert_int_equal(lane_way(LANE_VIRTUAL), ROUTE_LOCAL);
	lane_part_init(&part, lane, false);
	lane_part_enter(table, &part);
	assert_true(lane_is_roomless(lane));
	assert_null(lane_next(table, LANE_NODE, &room));
	assert_ptr_equal(lane_next_to_ask(table, &wish), lane);
	lane_set_room(table, lane, 1);
	assert_ptr_equal(lane_next(table, LANE_NODE, &room), &part);
	lane_part_enter(table, &part);
	lane_take_rooms(table);
	assert_true(lane_is_roomless(lane));
	lane_back_off(table, lane, 10, "why");
	lane_wake_remote(table, "@node2");
	assert_int_equal(lane_backs_off_until_ms(lane), 0);
	lane_part_leave(table, &part);
	lane_back_off(table, lane, 1000000000, "why");
	lane_wait(table, lane, 7, NOW);
	assert_int_equal(take_at(NOW + LANE_NODE_PATIENCE_S - 1), 0);
	assert_true(lane_take(
	    table, NOW + LANE_NODE_PATIENCE_S, NULL, NULL, &id, &kind));
	assert_int_equal(id, 7);
	assert_int_equal(kind, LANE_NODE);
	lane_part_release(table, &part);
}

static void
lanes_by_sender(void **state)
{
	struct lane_part joe, ann, other;
	struct lane *lane = lane_get(table, LANE_REMOTE, "a.test joe@b.test");
	enum job_wish wish;

	(void)state;
	lane_part_init(&joe, lane, false);
	lane_part_init(
	    &ann, lane_get(table, LANE_REMOTE, "a.test ann@b.test"), false);
	lane_part_init(&other, lane_get(table, LANE_REMOTE, "a.test.b"), false);
	lane_part_enter(table, &joe);
	lane_back_off(table, lane, 10, "why");
	lane_back_off(table, ann.lane, 10, "why");
	lane_back_off(table, other.lane, 10, "why");
	lane_wake_remote(table, "a.test");
	assert_int_equal(lane_backs_off_until_ms(lane), 0);
	assert_int_equal(lane_backs_off_until_ms(ann.lane), 0);
	assert_int_equal(lane_backs_off_until_ms(other.lane), 10);
	assert_ptr_equal(lane_next_to_ask(table, &wish), lane);
	assert_int_equal(wish, JOB_WISH_NONE);
	lane_back_off(table, lane, 10, "why");
	assert_int_equal(lane_retry_key(table, "a.test"), 2);
	assert_ptr_equal(lane_next_to_ask(table, &wish), lane);
	assert_int_equal(wish, JOB_WISH_ANYWAY);
	lane_wake_remote(table, NULL);
	assert_int_equal(lane_backs_off_until_ms(other.lane), 0);
	assert_true(lane_hold(table, "a.test", true));
	assert_true(lane_is_held(lane));
	assert_false(lane_is_held(other.lane));
	assert_true(
	    lane_is_held(lane_get(table, LANE_REMOTE, "a.test eve@b.test")));
	assert_true(lane_hold(table, "a.test", false));
	lane_part_release(table, &joe);
	lane_part_release(table, &ann);
	lane_part_release(table, &other);
}

/* Its only message is read from disk before it can ask. */
static void
wish_of_a_lane_with_one_message(void **state)
{
	enum { LATER_MS = 1000000 };
	struct lane_part part;
	enum job_wish wish;

	(void)state;
	for (int is_late = 0; is_late <= 1; is_late++) {
		lane_run_timers(table, 10);
		lane_back_off(table, lane_get(table, LANE_REMOTE, "a.test"),
		    LATER_MS, "why");
		wait_in(lane_get(table, LANE_REMOTE, "a.test"), 1, NOW + 1000);
		assert_int_equal(lane_retry_key(table, "a.test"), 1);
		assert_int_equal(take_at(NOW), 1);
		if (is_late) {
			lane_run_timers(table, LATER_MS);
			assert_null(lane_find(table, LANE_REMOTE, "a.test"));
		}
		lane_part_init(
		    &part, lane_get(table, LANE_REMOTE, "a.test"), true);
		lane_part_enter(table, &part);
		assert_non_null(lane_next_to_ask(table, &wish));
		assert_int_equal(
		    wish, is_late ? JOB_WISH_NONE : JOB_WISH_ANYWAY);
		lane_part_release(table, &part);
	}
}

static void
visit_all(void **state)
{
	struct lane *a = hold(LANE_REMOTE, "a");
	struct lane *b = hold(LANE_VIRTUAL, "virtual");
	uint64_t sum = 0;

	(void)state;
	wait_in(a, 1, NOW);
	wait_in(a, 2, NOW);
	wait_in(b, 5, NOW);
	lane_visit_tickets(table, note_ticket, &sum);
	assert_int_equal(sum, 3005);
	lane_ended(table, a);
	lane_ended(table, b);
}

static void
memory_per_ticket(void **state)
{
	enum { TICKETS = 1000000, BYTES_MAX = 21 };
	struct lane *lane = hold(LANE_MIXED_LOCAL, "");
	struct mallinfo2 before = mallinfo2(), after;

	(void)state;
	for (uint64_t id = 1; id <= TICKETS; id++)
		wait_in(lane, id, (uint32_t)(NOW + id % 1000));
	after = mallinfo2();
	assert_in_range(
	    after.uordblks + after.hblkhd - before.uordblks - before.hblkhd, 0,
	    (uint64_t)TICKETS * BYTES_MAX);
	/* Most of it comes back. */
	for (unsigned i = 0; i < TICKETS - 1000; i++)
		assert_int_not_equal(take_at(NOW + 1000), 0);
	after = mallinfo2();
	assert_in_range(after.uordblks + after.hblkhd, 0,
	    before.uordblks + before.hblkhd + 1000 * BYTES_MAX * 8);
	lane_ended(table, lane);
}

/* -- parts */

enum { PARTS = 10 };

static struct lane *
next_to_ask(void)
{
	enum job_wish wish;

	return lane_next_to_ask(table, &wish);
}

/* A lane with parts in its line. */
static struct lane *
fill(enum lane_kind kind, const char *key, struct lane_part *parts)
{
	struct lane *lane = lane_get(table, kind, key);

	if (kind == LANE_REMOTE)
		lane_set_room(table, lane, 100);
	for (int i = 0; i < PARTS; i++) {
		parts[i].message = &parts[i];
		lane_part_init(&parts[i], lane, true);
		lane_part_enter(table, &parts[i]);
		lane_part_enter(table, &parts[i]); /* is in it already */
	}
	return lane;
}

static void
empty(struct lane_part *parts)
{
	lane_take_rooms(table); /* else the lane stays */
	for (int i = 0; i < PARTS; i++)
		lane_part_release(table, &parts[i]);
}

static void
parts_in_turn(void **state)
{
	struct lane_part a[PARTS], b[PARTS], c[PARTS];
	struct lane *lane_a = fill(LANE_REMOTE, "a", a);
	struct lane *lane_b = fill(LANE_REMOTE, "b", b);
	unsigned room;

	(void)state;
	fill(LANE_VIRTUAL, "virtual", c);
	for (int i = 0; i < PARTS - 1; i++) {
		assert_ptr_equal(lane_next(table, LANE_REMOTE, &room), &a[i]);
		assert_ptr_equal(lane_next(table, LANE_REMOTE, &room), &b[i]);
	}
	/* It has more to start, and goes to the end of its lane's line. */
	lane_part_enter(table, &a[0]);
	assert_ptr_equal(lane_next(table, LANE_REMOTE, &room), &a[PARTS - 1]);
	lane_part_leave(table, &b[PARTS - 1]);
	assert_ptr_equal(lane_next(table, LANE_REMOTE, &room), &a[0]);
	assert_null(lane_next(table, LANE_REMOTE, &room));
	assert_ptr_equal(lane_next(table, LANE_VIRTUAL, &room), &c[0]);
	assert_null(lane_next(table, LANE_LOCAL, &room));
	empty(a);
	empty(b);
	empty(c);
	assert_ptr_not_equal(lane_a, lane_b);
	assert_null(lane_find(table, LANE_REMOTE, "a"));
}

static void
start(struct lane *lane, unsigned count)
{
	while (count-- > 0)
		lane_started(table, lane);
}

static void
end(struct lane *lane, unsigned count)
{
	while (count-- > 0)
		lane_ended(table, lane);
}

static void
limits(void **state)
{
	struct lane_part a[PARTS], b[PARTS];
	struct lane *lane_a = fill(LANE_REMOTE, "a", a);
	struct lane *lane_b = fill(LANE_REMOTE, "b", b);
	unsigned room;

	(void)state;
	lane_set_limit(table, LANE_REMOTE, 5, false);
	assert_ptr_equal(lane_next(table, LANE_REMOTE, &room), &a[0]);
	assert_int_equal(room, 5);
	start(lane_a, 2);
	assert_ptr_equal(lane_next(table, LANE_REMOTE, &room), &b[0]);
	assert_int_equal(room, 3);
	start(lane_b, 3);
	assert_null(lane_next(table, LANE_REMOTE, &room));
	end(lane_a, 1);
	lane_set_held(table, LANE_REMOTE, true);
	assert_null(lane_next(table, LANE_REMOTE, &room));
	lane_set_held(table, LANE_REMOTE, false);
	assert_non_null(lane_next(table, LANE_REMOTE, &room));
	assert_int_equal(room, 1);
	lane_set_limit(table, LANE_REMOTE, 0, false);
	assert_null(lane_next(table, LANE_REMOTE, &room));
	/* A back-off passes over the lane, and its end brings it back. */
	lane_set_limit(table, LANE_REMOTE, 100, false);
	lane_back_off(table, lane_b, 10, "why");
	for (int i = 0; i < 3; i++)
		assert_ptr_equal(
		    lane_next(table, LANE_REMOTE, &room)->lane, lane_a);
	lane_run_timers(table, 10);
	lane_set_room(table, lane_b, 100);
	assert_ptr_equal(lane_next(table, LANE_REMOTE, &room)->lane, lane_a);
	assert_ptr_equal(lane_next(table, LANE_REMOTE, &room)->lane, lane_b);
	end(lane_a, 1);
	end(lane_b, 3);
	empty(a);
	empty(b);
}

/* Starts what may be started of a kind whose deliveries never end. */
static void
start_all(enum lane_kind kind, struct lane_part *again)
{
	struct lane_part *part;
	unsigned room;

	while ((part = lane_next(table, kind, &room)) != NULL) {
		assert_in_range(room, 1, 100);
		start(part->lane, room);
		if (again == NULL || part->lane == again->lane)
			lane_part_enter(table, part);
	}
}

/* One whose deliveries hang leaves some to each that comes after it. */
static void
no_lane_takes_all_deliveries(void **state)
{
	struct lane_part a[PARTS], b[PARTS], c[PARTS];
	struct lane *lanes[3];
	unsigned room;

	(void)state;
	lane_set_limit(table, LANE_VIRTUAL, 100, true);
	lanes[0] = fill(LANE_VIRTUAL, "virtual:a", a);
	start_all(LANE_VIRTUAL, NULL);
	lanes[1] = fill(LANE_VIRTUAL, "virtual:b", b);
	assert_ptr_equal(lane_next(table, LANE_VIRTUAL, &room)->lane, lanes[1]);
	assert_in_range(room, 10, 25);
	start_all(LANE_VIRTUAL, NULL);
	lanes[2] = fill(LANE_VIRTUAL, "virtual:c", c);
	/* It works while both hang. */
	for (int i = 0; i < 100; i++) {
		struct lane_part *part = lane_next(table, LANE_VIRTUAL, &room);

		assert_ptr_equal(part->lane, lanes[2]);
		start(part->lane, room);
		lane_part_enter(table, part);
		end(part->lane, room);
	}
	/* The first one goes on, as far as it did. */
	end(lanes[0], 40);
	start_all(LANE_VIRTUAL, a);
	empty(a);
	empty(b);
	empty(c);
}

/* A remote lane asks once, and starts as many jobs as it has room for. */
static void
room_of_remote_lanes(void **state)
{
	struct lane_part part;
	struct lane *lane = lane_get(table, LANE_REMOTE, "a");
	unsigned room;

	(void)state;
	lane_part_init(&part, lane, false);
	assert_null(next_to_ask()); /* nothing is to be started */
	lane_part_enter(table, &part);
	assert_null(lane_next(table, LANE_REMOTE, &room));
	lane_set_held(table, LANE_REMOTE, true);
	assert_null(next_to_ask());
	lane_set_held(table, LANE_REMOTE, false);
	assert_ptr_equal(next_to_ask(), lane);
	assert_null(next_to_ask());
	lane_set_room(table, lane, 2);
	assert_null(next_to_ask());
	for (int jobs = 0; jobs < 2; jobs++) {
		assert_ptr_equal(lane_next(table, LANE_REMOTE, &room), &part);
		lane_job_began(table, lane);
		lane_part_enter(table, &part);
	}
	assert_null(lane_next(table, LANE_REMOTE, &room));
	lane_job_ended(table, lane);
	assert_non_null(lane_next(table, LANE_REMOTE, &room));
	lane_part_enter(table, &part);
	/* Less room than jobs: it waits for their ends. */
	lane_set_room(table, lane, 1);
	assert_null(lane_next(table, LANE_REMOTE, &room));
	/* Taken back, it asks again; and again when the worker has gone. */
	lane_set_room(table, lane, 0);
	assert_ptr_equal(next_to_ask(), lane);
	lane_take_rooms(table);
	assert_ptr_equal(next_to_ask(), lane);
	/* A rest takes the room, and when it is over the lane asks. */
	lane_set_room(table, lane, 5);
	lane_back_off(table, lane, 10, "why");
	assert_null(next_to_ask());
	lane_run_timers(table, 10);
	assert_null(lane_next(table, LANE_REMOTE, &room));
	assert_ptr_equal(next_to_ask(), lane);
	lane_job_ended(table, lane);
	lane_part_release(table, &part);
	assert_null(lane_find(table, LANE_REMOTE, "a"));
}

/* What is due for so long is read although its lane rests. */
static void
patience(void **state)
{
	struct lane *lane = hold(LANE_REMOTE, "a");
	struct strlist lines = { .items = NULL };
	char line[20];

	(void)state;
	lane_back_off(table, lane, 1000, "why");
	wait_in(lane, 1, NOW);
	assert_int_equal(take_at(NOW + 1000000), 0);
	assert_int_equal(take_at(NOW), 0);
	lane_set_lifetimes(table, 100 * LANE_PATIENCE_SHARE, &lines);
	wait_in(lane, 2, NOW + 50);
	assert_int_equal(take_at(NOW + 99), 0);
	assert_int_equal(take_at(NOW + 100), 1);
	assert_int_equal(take_at(NOW + 149), 0);
	assert_int_equal(take_at(NOW + 150), 2);
	/* A line of its domain's goes before. */
	snprintf(line, sizeof(line), "a:%d", 20 * LANE_PATIENCE_SHARE);
	strlist_add(&lines, line);
	wait_in(lane, 3, NOW + 200);
	assert_int_equal(take_at(NOW + 219), 0);
	assert_int_equal(take_at(NOW + 220), 3);
	strlist_release(&lines);
	lane_back_off(table, lane, 0, "");
	lane_ended(table, lane);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(keys_and_lifetime),
		TEST(what_keeps_a_lane),
		TEST(due_times),
		TEST(tickets_in_turn),
		TEST(share_of_memory),
		TEST(who_takes),
		TEST(back_off_costs_one_timer),
		TEST(clock_set_back),
		TEST(hurry_all),
		TEST(judged_tickets),
		TEST(held_lanes),
		TEST(lanes_by_sender),
		TEST(lanes_of_nodes),
		TEST(wish_of_a_lane_with_one_message),
		TEST(visit_all),
		TEST(memory_per_ticket),
		TEST(parts_in_turn),
		TEST(limits),
		TEST(no_lane_takes_all_deliveries),
		TEST(room_of_remote_lanes),
		TEST(patience),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
