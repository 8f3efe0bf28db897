/* SPDX-License-Identifier: ISC */
/* Tests of queue/schedule.c. */
#include "queue/schedule.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

static void
in_the_order_of_time(void **state)
{
	struct schedule schedule = { .entries = NULL };
	unsigned seed = 7;
	time_t last = 0;
	uint64_t id;
	int left;

	(void)state;
	assert_int_equal(schedule_next(&schedule), 0);
	assert_false(schedule_take(&schedule, 1000, &id));
	for (int i = 0; i < 5000; i++) {
		time_t due = 1 + rand_r(&seed) % 1000;

		schedule_add(&schedule, (uint64_t)due, due);
	}
	for (left = 5000; left > 0; left--) {
		time_t next = schedule_next(&schedule);

		assert_true(next >= last);
		assert_false(schedule_take(&schedule, next - 1, &id));
		assert_true(schedule_take(&schedule, next, &id));
		assert_int_equal(id, next);
		last = next;
	}
	assert_false(schedule_take(&schedule, 2000, &id));
	schedule_release(&schedule);
}

static void
all_now(void **state)
{
	struct schedule schedule = { .entries = NULL };
	uint64_t id, sum = 0;

	(void)state;
	for (uint64_t i = 1; i <= 100; i++)
		schedule_add(&schedule, i, (time_t)(1000 + i));
	assert_false(schedule_take(&schedule, 999, &id));
	schedule_all_now(&schedule);
	while (schedule_take(&schedule, 1, &id))
		sum += id;
	assert_int_equal(sum, 5050);
	schedule_release(&schedule);
}

/* The reference's table: a remote recipient deferred at each try. */
static void
retry_table(void **state)
{
	static const time_t remote[] = { 0, 400, 1600, 3600, 6400, 10000, 14400,
		19600, 25600, 32400, 40000, 48400, 57600, 67600, 78400, 90000,
		102400, 115600, 129600, 144400, 160000, 176400, 193600, 211600,
		230400, 250000, 270400, 291600, 313600, 336400, 360000, 384400,
		409600, 435600, 462400, 490000, 518400, 547600, 577600,
		608400 };
	static const struct {
		time_t birth, now;
		unsigned step;
		time_t wanted;
	} rows[] = {
		{ 1000, 1000, 10, 1100 }, /* local: 0, 100, 400, 900 ... */
		{ 1000, 1100, 10, 1400 },
		{ 1000, 1400, 10, 1900 },
		{ 1000, 1103, 10, 1400 }, /* late by some seconds */
		{ 1000, 1120, 10, 1400 },
		{ 1000, 1121, 10, 1441 },
		{ 1000, 500, 20, 900 }, /* a clock that was set back */
		{ 0, 1764000000, 20, (42000 + 20) * (time_t)(42000 + 20) },
	};
	const time_t birth = 1764000000;

	(void)state;
	for (size_t i = 0; i + 1 < sizeof(remote) / sizeof(remote[0]); i++)
		assert_int_equal(
		    schedule_retry(birth, birth + remote[i], 20) - birth,
		    remote[i + 1]);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(
		    schedule_retry(rows[i].birth, rows[i].now, rows[i].step),
		    rows[i].wanted);
}

/* Files that were written while the clock was ahead hold up no mail. */
static void
times_of_a_clock_that_was_ahead(void **state)
{
	enum { DAY = 86400, YEAR = 365 * DAY };
	static const time_t now = 1764000000;
	static const struct {
		const char *name;
		time_t age, wait; /* now - birth, due - now */
		unsigned step;
		bool is_kept;
	} rows[] = {
		{ "long due", 1000, -500, 10, true },
		{ "now", 1000, 0, 10, true },
		{ "the first retry", 0, 400, 20, true },
		{ "a pause after trouble of ours", 0, 60, 10, true },
		{ "the last of a week", 7 * DAY, 31510, 20, true },
		{ "and the clock set back by a minute", 7 * DAY, 31570, 20,
		    true },
		{ "older than any lifetime", YEAR, 600000, 20, false },
		{ "a year ahead", 1000, YEAR, 10, false },
		{ "some hours ahead", 1000, 7200, 10, false },
		{ "born in the future", -YEAR, YEAR + 400, 20, false },
		{ "born in the future, due soon", -YEAR, 400, 20, true },
		{ "due in the future, not from a week ago", 7 * DAY, 2 * DAY,
		    20, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		time_t due = now + rows[i].wait;
		time_t got = schedule_sane_due(
		    now - rows[i].age, due, now, rows[i].step);

		if (got != (rows[i].is_kept ? due : now))
			fail_msg("%s: now%+lld", rows[i].name,
			    (long long)(got - now));
	}
	/* What the schedule gives is believed at once and ever after. */
	for (time_t age = 0; age < 8 * DAY; age += 777) {
		time_t due = schedule_retry(now - age, now, 20);

		assert_int_equal(
		    schedule_sane_due(now - age, due, now, 20), due);
		assert_int_equal(
		    schedule_sane_due(now - age, due, due + 1, 20), due);
	}
	assert_int_equal(schedule_sane_birth(now + 1, now), now);
	assert_int_equal(schedule_sane_birth(now - 1, now), now - 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_the_order_of_time),
		cmocka_unit_test(all_now),
		cmocka_unit_test(retry_table),
		cmocka_unit_test(times_of_a_clock_that_was_ahead),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
