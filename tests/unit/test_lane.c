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

enum { NOW = 1000000 };

static struct lane_table *table;

static int
setup(void **state)
{
	(void)state;
	table = lane_table_new();
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

static void
wait_in(struct lane *lane, uint64_t id, uint32_t due)
{
	struct lane_ticket ticket = { .id = id,
		.due_s = due,
		.lane = lane_number(lane),
		.channel = lane_get_kind(lane) == LANE_REMOTE ? ROUTE_REMOTE
							      : ROUTE_LOCAL };

	lane_wait(table, &ticket);
}

/* Takes a ticket and gives its lane back; its id, or 0. */
static uint64_t
take_at(time_t now, size_t share)
{
	struct lane_ticket ticket;

	if (!lane_take(table, now, share, NULL, NULL, &ticket))
		return 0;
	lane_release(table, lane_of_number(table, ticket.lane));
	return ticket.id;
}

static void
keys_and_lifetime(void **state)
{
	struct lane *a = lane_hold(table, LANE_REMOTE, "a.test");
	uint32_t number = lane_number(a);

	(void)state;
	assert_int_not_equal(number, 0);
	assert_string_equal(lane_key(a), "a.test");
	assert_int_equal(lane_get_kind(a), LANE_REMOTE);
	assert_ptr_equal(lane_hold(table, LANE_REMOTE, "a.test"), a);
	assert_ptr_equal(lane_find(table, LANE_REMOTE, "a.test"), a);
	assert_null(lane_find(table, LANE_LOCAL, "a.test"));
	assert_ptr_equal(lane_of_number(table, number), a);
	assert_null(lane_of_number(table, 0));
	assert_null(lane_of_number(table, number + 1));
	lane_release(table, a);
	assert_non_null(lane_find(table, LANE_REMOTE, "a.test"));
	lane_release(table, a);
	assert_null(lane_find(table, LANE_REMOTE, "a.test"));
	assert_null(lane_of_number(table, number));
	/* Many, and the last ones go first. */
	for (unsigned round = 0; round < 2; round++) {
		static struct lane *many[1000];
		char key[16];

		for (unsigned i = 0; i < 1000; i++) {
			snprintf(key, sizeof(key), "%u.test", i);
			many[i] = lane_hold(table, LANE_REMOTE, key);
			assert_in_range(lane_number(many[i]), 1, 1000);
		}
		for (unsigned i = 0; i < 1000; i++) {
			snprintf(key, sizeof(key), "%u.test", i);
			assert_ptr_equal(
			    lane_find(table, LANE_REMOTE, key), many[i]);
		}
		for (unsigned i = 1000; i > 0; i--)
			lane_release(table, many[i - 1]);
	}
	assert_null(lane_find(table, LANE_REMOTE, "7.test"));
}

/* What keeps a lane, one thing at a time. */
static void
what_keeps_a_lane(void **state)
{
	struct lane_part part;
	struct lane *lane = lane_hold(table, LANE_REMOTE, "a");

	(void)state;
	lane_part_init(table, &part, lane);
	lane_release(table, lane);
	lane_started(table, lane, 2);
	lane_part_release(table, &part);
	lane_back_off(table, lane, 500, "busy");
	lane_ended(table, lane, 2);
	wait_in(lane, 7, NOW);
	assert_int_equal(lane_run_timers(table, 500), 0);
	lane_loaded(table, lane, 1);
	assert_int_equal(take_at(NOW, 2), 7);
	assert_ptr_equal(lane_find(table, LANE_REMOTE, "a"), lane);
	lane_loaded(table, lane, -1);
	assert_null(lane_find(table, LANE_REMOTE, "a"));
}

/* One that was taken can go back to its lane. */
static void
the_taker_holds_the_lane(void **state)
{
	struct lane *lane = lane_hold(table, LANE_REMOTE, "a");
	struct lane_ticket ticket;

	(void)state;
	wait_in(lane, 7, NOW);
	lane_release(table, lane);
	assert_true(lane_take(table, NOW, 9, NULL, NULL, &ticket));
	assert_int_equal(ticket.id, 7);
	assert_ptr_equal(lane_of_number(table, ticket.lane), lane);
	lane_wait(table, &ticket);
	lane_release(table, lane);
	assert_int_equal(take_at(NOW, 9), 7);
	assert_null(lane_find(table, LANE_REMOTE, "a"));
}

static void
due_times(void **state)
{
	struct lane *lane = lane_hold(table, LANE_REMOTE, "a");

	(void)state;
	assert_int_equal(lane_next_due(table), 0);
	/* Not in the order of their times. */
	for (unsigned i = 0; i < 100; i++)
		wait_in(lane, 1 + i * 37 % 100, NOW + i * 37 % 100);
	assert_int_equal(lane_ticket_count(table), 100);
	assert_int_equal(lane_next_due(table), NOW);
	assert_int_equal(take_at(NOW - 1, 9), 0);
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(take_at(NOW + i, 9), i + 1);
		assert_int_equal(take_at(NOW + i, 9), 0);
		assert_int_equal(
		    lane_next_due(table), i == 99 ? 0 : NOW + i + 1);
	}
	assert_int_equal(lane_ticket_count(table), 0);
	/* An earlier one wakes a lane that sleeps. */
	wait_in(lane, 1, NOW + 50);
	wait_in(lane, 2, NOW + 10);
	assert_int_equal(lane_next_due(table), NOW + 10);
	assert_int_equal(take_at(NOW + 20, 9), 2);
	assert_int_equal(take_at(NOW + 20, 9), 0);
	assert_true(lane_has_ticket(table, 1, ROUTE_REMOTE));
	assert_false(lane_has_ticket(table, 1, ROUTE_LOCAL));
	assert_false(lane_has_ticket(table, 2, ROUTE_REMOTE));
	lane_release(table, lane);
}

/* One lane with 100,000 tickets, due earlier, does not starve the others. */
static void
tickets_in_turn(void **state)
{
	struct lane *big = lane_hold(table, LANE_REMOTE, "big");
	struct lane *small = lane_hold(table, LANE_REMOTE, "small");
	struct lane *virtual = lane_hold(table, LANE_VIRTUAL, "virtual");
	unsigned got_small = 0, got_virtual = 0;

	(void)state;
	for (uint64_t id = 1; id <= 100000; id++)
		wait_in(big, id, 1);
	for (uint64_t id = 1; id <= 10; id++) {
		wait_in(small, 200000 + id, NOW - 1);
		wait_in(virtual, 300000 + id, NOW);
	}
	for (unsigned turn = 0; turn < 30; turn++) {
		uint64_t id = take_at(NOW, 9);

		got_small += id > 200000 && id < 300000;
		got_virtual += id > 300000;
	}
	assert_int_equal(got_small, 10);
	assert_int_equal(got_virtual, 10);
	lane_release(table, big);
	lane_release(table, small);
	lane_release(table, virtual);
}

/* A lane takes up its share of memory, and no more until it gives some back. */
static void
share_of_memory(void **state)
{
	struct lane *a = lane_hold(table, LANE_REMOTE, "a");
	struct lane *b = lane_hold(table, LANE_REMOTE, "b");

	(void)state;
	for (uint64_t id = 1; id <= 10; id++)
		wait_in(a, id, NOW);
	wait_in(b, 99, NOW + 5);
	lane_loaded(table, a, 1);
	assert_in_range(take_at(NOW, 2), 1, 10);
	lane_loaded(table, a, 1);
	assert_int_equal(take_at(NOW, 2), 0);
	/* It is not waited for in vain. */
	assert_int_equal(lane_next_due(table), NOW + 5);
	assert_int_equal(take_at(NOW + 5, 2), 99);
	lane_loaded(table, a, -1);
	assert_in_range(take_at(NOW, 2), 1, 10);
	lane_loaded(table, a, 1);
	assert_int_equal(take_at(NOW, 2), 0);
	assert_in_range(take_at(NOW, 3), 1, 10); /* a larger share */
	assert_int_equal(take_at(NOW, 1), 0);    /* a smaller one */
	/* What comes while it has its share waits, too. */
	wait_in(a, 50, 1);
	assert_int_equal(take_at(NOW, 1), 0);
	lane_loaded(table, a, -2);
	assert_int_equal(take_at(NOW, 1), 50);
	lane_release(table, a);
	lane_release(table, b);
}

/* Both channels' lines of one lane go back when the share grows. */
static void
share_of_two_channels(void **state)
{
	struct lane *lane = lane_hold(table, LANE_MIXED, "");
	struct lane_ticket ticket = { .id = 1, .lane = lane_number(lane) };

	(void)state;
	lane_loaded(table, lane, 1);
	assert_int_equal(take_at(NOW, 1), 0);
	for (unsigned channel = 0; channel < ROUTE_CHANNEL_COUNT; channel++) {
		ticket.channel = (uint8_t)channel;
		lane_wait(table, &ticket);
	}
	assert_int_equal(take_at(NOW, 1), 0);
	assert_int_equal(take_at(NOW, 2), 1);
	assert_int_equal(take_at(NOW, 2), 1);
	assert_int_equal(take_at(NOW, 2), 0);
	lane_loaded(table, lane, -1);
	lane_release(table, lane);
}

struct filter {
	enum lane_kind kind;
	unsigned channel, asked;
};

static bool
is_wanted(enum lane_kind kind, unsigned channel, void *context)
{
	struct filter *filter = context;

	filter->asked++;
	return kind == filter->kind && channel == filter->channel;
}

/* Nobody is there for a kind, or for a channel of lanes that are mixed. */
static void
who_takes(void **state)
{
	struct lane *mixed = lane_hold(table, LANE_MIXED, "");
	struct lane_ticket ticket = { .lane = lane_number(mixed) };
	struct filter filter = { LANE_MIXED, ROUTE_LOCAL, 0 };
	struct lane *lanes[1000];

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		char key[16];

		snprintf(key, sizeof(key), "%u.test", i);
		lanes[i] = lane_hold(table, LANE_REMOTE, key);
		wait_in(lanes[i], 100 + i, 1);
	}
	for (unsigned i = 0; i < 10; i++) {
		ticket.id = 1 + i;
		ticket.channel = i % 2 == 0 ? ROUTE_REMOTE : ROUTE_LOCAL;
		lane_wait(table, &ticket);
	}
	for (unsigned i = 0; i < 5; i++) {
		assert_true(
		    lane_take(table, NOW, 9, is_wanted, &filter, &ticket));
		assert_int_equal(ticket.channel, ROUTE_LOCAL);
		lane_release(table, lane_of_number(table, ticket.lane));
	}
	assert_false(lane_take(table, NOW, 9, is_wanted, &filter, &ticket));
	/* Of kinds, not of lanes. */
	assert_in_range(filter.asked, 6, 6 * 8);
	filter.channel = ROUTE_REMOTE;
	lane_set_held(table, LANE_MIXED, true);
	assert_false(lane_take(table, NOW, 9, is_wanted, &filter, &ticket));
	lane_set_held(table, LANE_MIXED, false);
	assert_true(lane_take(table, NOW, 9, is_wanted, &filter, &ticket));
	assert_int_equal(ticket.channel, ROUTE_REMOTE);
	lane_release(table, mixed);
	for (unsigned i = 0; i < 1000; i++)
		lane_release(table, lanes[i]);
	lane_release(table, mixed);
}

/* Its tickets cost nothing, however many; one timer ends it. */
static void
back_off_costs_one_timer(void **state)
{
	enum { TICKETS = 300000, TAKES = 100000 };
	struct lane *off = lane_hold(table, LANE_REMOTE, "off");
	struct lane *on = lane_hold(table, LANE_REMOTE, "on");
	clock_t began;

	(void)state;
	for (uint64_t id = 1; id <= TICKETS; id++)
		wait_in(off, id, 1);
	lane_back_off(table, off, 5000, "no answer");
	assert_int_equal(lane_run_timers(table, 4999), 5000);
	assert_int_equal(take_at(NOW, 9), 0);
	assert_int_equal(lane_next_due(table), 0);
	/* Looking at each of them would take hours. */
	began = clock();
	for (uint64_t id = 1; id <= TAKES; id++) {
		wait_in(off, TICKETS + id, 1);
		wait_in(on, TICKETS + id, NOW);
		assert_int_equal(take_at(NOW, 9), TICKETS + id);
		assert_int_equal(lane_run_timers(table, 4999), 5000);
	}
	assert_in_range(clock() - began, 0, 20 * CLOCKS_PER_SEC);
	assert_int_equal(lane_run_timers(table, 5000), 0);
	assert_in_range(take_at(NOW, 9), 1, TICKETS + TAKES);
	/* Longer, then shorter, then at once. */
	lane_back_off(table, off, 9000, "no answer");
	lane_back_off(table, off, 7000, "busy");
	lane_back_off(table, on, 8000, "busy");
	assert_int_equal(lane_run_timers(table, 6999), 7000);
	assert_int_equal(lane_run_timers(table, 7000), 8000);
	assert_int_not_equal(take_at(NOW, 9), 0);
	lane_back_off(table, on, 0, NULL);
	assert_int_equal(lane_run_timers(table, 7000), 0);
	lane_release(table, off);
	lane_release(table, on);
}

static void
hurry_all(void **state)
{
	struct lane *a = lane_hold(table, LANE_REMOTE, "a");
	struct lane *b = lane_hold(table, LANE_LOCAL, "local");

	(void)state;
	for (uint64_t id = 1; id <= 100; id++)
		wait_in(id % 2 == 0 ? a : b, id, (uint32_t)(NOW + id));
	assert_int_equal(take_at(NOW, 9), 0);
	lane_all_now(table);
	assert_int_equal(lane_next_due(table), 1); /* not 0, which is never */
	for (unsigned i = 0; i < 100; i++)
		assert_int_not_equal(take_at(NOW, 9), 0);
	assert_int_equal(take_at(NOW, 9), 0);
	lane_release(table, a);
	lane_release(table, b);
}

static bool
is_of_sender(const struct lane_ticket *ticket, void *context)
{
	return ticket->sender == *(const uint32_t *)context;
}

static void
hurry_one_sender(void **state)
{
	struct lane *lane = lane_hold(table, LANE_REMOTE, "a");
	uint32_t wanted = lane_sender_hash("User@Example.TEST");
	struct lane_ticket ticket = { .lane = lane_number(lane),
		.channel = ROUTE_REMOTE };
	uint64_t sum = 0;

	(void)state;
	assert_int_equal(wanted, lane_sender_hash("user@example.test"));
	assert_int_not_equal(wanted, lane_sender_hash("user2@example.test"));
	assert_int_not_equal(lane_sender_hash(""), 0);
	for (unsigned i = 1; i <= 100; i++) {
		ticket.id = i;
		ticket.due_s = NOW + i;
		ticket.sender = i % 10 == 0 ? wanted : 1;
		lane_wait(table, &ticket);
	}
	assert_int_equal(lane_hurry(table, is_of_sender, &wanted), 10);
	for (unsigned i = 0; i < 10; i++)
		sum += take_at(NOW, 9);
	assert_int_equal(sum, 550);
	assert_int_equal(take_at(NOW, 9), 0);
	/* The others come in their order still. */
	assert_int_equal(take_at(NOW + 200, 9), 1);
	assert_int_equal(take_at(NOW + 200, 9), 2);
	lane_release(table, lane);
}

static void
memory_per_ticket(void **state)
{
	enum { TICKETS = 1000000, BYTES_MAX = 31 };
	struct lane *lane = lane_hold(table, LANE_MIXED, "");
	struct mallinfo2 before = mallinfo2(), after;

	(void)state;
	assert_int_equal(sizeof(struct lane_ticket), 24);
	for (uint64_t id = 1; id <= TICKETS; id++)
		wait_in(lane, id, (uint32_t)(NOW + id % 1000));
	after = mallinfo2();
	assert_in_range(
	    after.uordblks + after.hblkhd - before.uordblks - before.hblkhd, 0,
	    (uint64_t)TICKETS * BYTES_MAX);
	/* Most of it comes back. */
	for (unsigned i = 0; i < TICKETS - 1000; i++)
		assert_int_not_equal(take_at(NOW + 1000, 9), 0);
	after = mallinfo2();
	assert_in_range(after.uordblks + after.hblkhd, 0,
	    before.uordblks + before.hblkhd + 1000 * BYTES_MAX * 8);
	lane_release(table, lane);
}

/* -- parts */

enum { PARTS = 10 };

/* A lane with parts in its line. */
static struct lane *
fill(enum lane_kind kind, const char *key, struct lane_part *parts)
{
	struct lane *lane = lane_hold(table, kind, key);

	for (int i = 0; i < PARTS; i++) {
		parts[i].message = &parts[i];
		lane_part_init(table, &parts[i], lane);
		lane_part_enter(table, &parts[i]);
		lane_part_enter(table, &parts[i]); /* is in it already */
	}
	lane_release(table, lane);
	return lane;
}

static void
empty(struct lane_part *parts)
{
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
limits(void **state)
{
	struct lane_part a[PARTS], b[PARTS];
	struct lane *lane_a = fill(LANE_REMOTE, "a", a);
	struct lane *lane_b = fill(LANE_REMOTE, "b", b);
	unsigned room;

	(void)state;
	lane_set_limit(table, LANE_REMOTE, 5);
	lane_limit(table, lane_a, 2);
	assert_ptr_equal(lane_next(table, LANE_REMOTE, &room), &a[0]);
	assert_int_equal(room, 2);
	lane_started(table, lane_a, 2);
	/* One at its limit is passed over. */
	for (int i = 0; i < 2; i++) {
		assert_ptr_equal(lane_next(table, LANE_REMOTE, &room), &b[i]);
		assert_int_equal(room, 3 - i);
		lane_started(table, lane_b, 1);
	}
	lane_started(table, lane_b, 1);
	assert_int_equal(lane_running(table, LANE_REMOTE), 5);
	assert_null(lane_next(table, LANE_REMOTE, &room));
	lane_ended(table, lane_a, 1);
	lane_limit(table, lane_a, 0);
	lane_set_held(table, LANE_REMOTE, true);
	assert_null(lane_next(table, LANE_REMOTE, &room));
	lane_set_held(table, LANE_REMOTE, false);
	assert_non_null(lane_next(table, LANE_REMOTE, &room));
	assert_int_equal(room, 1);
	lane_set_limit(table, LANE_REMOTE, 0);
	assert_null(lane_next(table, LANE_REMOTE, &room));
	/* A back-off passes over the lane, and its end brings it back. */
	lane_set_limit(table, LANE_REMOTE, 100);
	lane_back_off(table, lane_b, 10, "busy");
	for (int i = 0; i < 3; i++) {
		const struct lane_part *part = lane_next(
		    table, LANE_REMOTE, &room);

		assert_ptr_equal(part->lane, lane_a);
	}
	lane_run_timers(table, 10);
	lane_limit(table, lane_a, 1); /* it has one running */
	assert_ptr_equal(lane_next(table, LANE_REMOTE, &room)->lane, lane_b);
	assert_ptr_equal(lane_next(table, LANE_REMOTE, &room)->lane, lane_b);
	lane_ended(table, lane_a, 1);
	lane_ended(table, lane_b, 3);
	empty(a);
	empty(b);
}

static void
note_info(const struct lane_info *info, void *context)
{
	char *text = context;
	size_t length = strlen(text);

	snprintf(text + length, 200 - length, "%s %u/%u %zu %zu %zu %d %s;",
	    info->key, info->running, info->limit, info->parts, info->tickets,
	    info->loaded, (int)info->backoff_until_ms, info->reason);
}

static void
for_people(void **state)
{
	struct lane_part a[PARTS];
	struct lane *lane = fill(LANE_REMOTE, "a", a);
	struct lane *mixed = lane_hold(table, LANE_MIXED, "");
	char text[200] = "";

	(void)state;
	wait_in(lane, 1, NOW);
	wait_in(mixed, 1, NOW);
	wait_in(mixed, 2, NOW);
	lane_limit(table, lane, 20);
	lane_started(table, lane, 1);
	lane_loaded(table, lane, 3);
	lane_back_off(table, lane, 77, "greylisted");
	lane_visit(table, note_info, text);
	assert_string_equal(text, "a 1/20 10 1 3 77 greylisted; 0/0 0 2 0 0 ;");
	lane_ended(table, lane, 1);
	lane_loaded(table, lane, -3);
	empty(a);
	lane_release(table, mixed);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(keys_and_lifetime),
		TEST(what_keeps_a_lane),
		TEST(the_taker_holds_the_lane),
		TEST(due_times),
		TEST(tickets_in_turn),
		TEST(share_of_memory),
		TEST(share_of_two_channels),
		TEST(who_takes),
		TEST(back_off_costs_one_timer),
		TEST(hurry_all),
		TEST(hurry_one_sender),
		TEST(memory_per_ticket),
		TEST(parts_in_turn),
		TEST(limits),
		TEST(for_people),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
