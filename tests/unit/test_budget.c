/* SPDX-License-Identifier: ISC */
/* Tests of base/budget.h. */
#include "base/budget.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void
test_steps(void **state)
{
	static const struct {
		const char *name;
		uint64_t limit, take, give;
		bool is_taken;
		uint64_t used; /* then */
	} steps[] = {
		{ "first", 100, 60, 0, true, 60 },
		{ "one too many", 100, 41, 0, false, 60 },
		{ "exactly", 100, 40, 0, true, 100 },
		{ "nothing always fits", 100, 0, 0, true, 100 },
		{ "limit lowered", 50, 1, 0, false, 100 },
		{ "nothing fits there", 50, 0, 0, false, 100 },
		{ "given back", 50, 0, 70, true, 30 },
		{ "overflow", 50, UINT64_MAX, 0, false, 30 },
		{ "no limit", 0, 1000, 0, true, 1030 },
	};
	struct budget budget = { .used = 0 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		bool is_taken;

		budget_set_limit(&budget, steps[i].limit);
		budget_give(&budget, steps[i].give);
		is_taken = budget_take(&budget, steps[i].take);
		if (is_taken != steps[i].is_taken ||
		    budget.used != steps[i].used)
			fail_msg("%s: %d and %llu used", steps[i].name,
			    is_taken, (unsigned long long)budget.used);
	}
}

enum { TURNS = 100000, LIMIT = 2 };

/* Takes and gives TURNS times; NULL when more than LIMIT was taken. */
static void *
take_and_give(void *argument)
{
	struct budget *budget = argument;
	int taken = 0;

	while (taken < TURNS)
		if (budget_take(budget, 1)) {
			if (budget->used > LIMIT)
				return NULL;
			budget_give(budget, 1);
			taken++;
		} else
			sched_yield(); /* who has it may be waiting to run */
	return argument;
}

static void
test_threads(void **state)
{
	enum { THREADS = 4 };
	struct budget budget = { .limit = LIMIT };
	pthread_t threads[THREADS];
	size_t i;

	(void)state;
	for (i = 0; i < THREADS; i++)
		assert_int_equal(
		    pthread_create(&threads[i], NULL, take_and_give, &budget),
		    0);
	for (i = 0; i < THREADS; i++) {
		void *taken;

		pthread_join(threads[i], &taken);
		assert_non_null(taken);
	}
	assert_int_equal(budget.used, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_steps),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests_name("budget", tests, NULL, NULL);
}
