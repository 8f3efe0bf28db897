/* SPDX-License-Identifier: ISC */
#include "mailbox/sync_choice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void
the_first_guess_is_by_number(void **state)
{
	static const struct {
		size_t count;
		enum sync_way way;
	} rows[] = { { 1, SYNC_EACH }, { 3, SYNC_EACH }, { 4, SYNC_EACH },
		{ 23, SYNC_EACH }, { 24, SYNC_ALL }, { 256, SYNC_ALL },
		{ 100000, SYNC_ALL } };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct sync_choice choice = { 0 };

		assert_int_equal(
		    sync_choice_pick(&choice, rows[i].count), rows[i].way);
	}
}

/* Each way takes so long for a file: how often is each taken? */
static void
count_ways(struct sync_choice *choice, size_t count,
    const int64_t us[SYNC_WAYS], unsigned groups, unsigned taken_out[SYNC_WAYS])
{
	taken_out[SYNC_EACH] = taken_out[SYNC_ALL] = 0;
	while (groups-- > 0) {
		enum sync_way way = sync_choice_pick(choice, count);

		taken_out[way]++;
		sync_choice_learn(choice, count, way, us[way] * (int64_t)count);
	}
}

static void
the_quicker_is_found_whatever_the_guess(void **state)
{
	static const struct {
		size_t count;
		int64_t us[SYNC_WAYS];
		enum sync_way quicker;
	} rows[] = {
		{ 8, { 100, 30 }, SYNC_ALL },
		{ 8, { 30, 100 }, SYNC_EACH },
		{ 200, { 30, 100 }, SYNC_EACH },
		{ 200, { 100, 30 }, SYNC_ALL },
		{ 200, { 1000000, 20000 }, SYNC_ALL },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct sync_choice choice = { 0 };
		unsigned taken[SYNC_WAYS];

		count_ways(&choice, rows[i].count, rows[i].us, 20, taken);
		count_ways(&choice, rows[i].count, rows[i].us, 1000, taken);
		/* The slower one is tried ever more rarely. */
		if (taken[!rows[i].quicker] > 10 ||
		    taken[!rows[i].quicker] == 0)
			fail_msg("row %zu: %u", i, taken[!rows[i].quicker]);
	}
}

static void
few_files_never_wait_for_others(void **state)
{
	static const int64_t us[SYNC_WAYS] = { 100000, 1 };
	size_t count;

	(void)state;
	for (count = 1; count < 4; count++) {
		struct sync_choice choice = { 0 };
		unsigned taken[SYNC_WAYS];

		count_ways(&choice, count, us, 5000, taken);
		assert_int_equal(taken[SYNC_ALL], 0);
	}
}

/* The disk, or what others do to it, changes. */
static void
a_change_is_noticed(void **state)
{
	static const int64_t before[SYNC_WAYS] = { 100, 30 };
	static const int64_t after[SYNC_WAYS] = { 100, 3000 };
	struct sync_choice choice = { 0 };
	unsigned taken[SYNC_WAYS];

	(void)state;
	count_ways(&choice, 50, before, 100, taken);
	assert_true(taken[SYNC_ALL] > 80);
	count_ways(&choice, 50, after, 10, taken);
	count_ways(&choice, 50, after, 100, taken);
	assert_true(taken[SYNC_EACH] > 80);
}

static void
sizes_are_apart(void **state)
{
	static const int64_t small[SYNC_WAYS] = { 10, 500 };
	static const int64_t large[SYNC_WAYS] = { 500, 10 };
	struct sync_choice choice = { 0 };
	unsigned taken[SYNC_WAYS];

	(void)state;
	count_ways(&choice, 5, small, 50, taken);
	count_ways(&choice, 200, large, 50, taken);
	count_ways(&choice, 5, small, 100, taken);
	assert_true(taken[SYNC_EACH] > 90);
	count_ways(&choice, 200, large, 100, taken);
	assert_true(taken[SYNC_ALL] > 90);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_guess_is_by_number),
		cmocka_unit_test(the_quicker_is_found_whatever_the_guess),
		cmocka_unit_test(few_files_never_wait_for_others),
		cmocka_unit_test(a_change_is_noticed),
		cmocka_unit_test(sizes_are_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
