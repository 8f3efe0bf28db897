/* SPDX-License-Identifier: ISC */
/* Tests of remote/pace.c. */
#include "remote/pace.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

enum { NOW = 5000000 };

static void
window_grows_and_halves(void **state)
{
	struct window window;
	unsigned i;

	(void)state;
	window_init(&window, 100);
	assert_int_equal(window_size(&window), WINDOW_START);
	/* About one more after each window of messages. */
	for (i = 0; i < WINDOW_START + 1; i++)
		window_succeeded(&window, NOW);
	assert_int_equal(window_size(&window), WINDOW_START + 1);
	for (i = 0; i < 100000; i++)
		window_succeeded(&window, NOW);
	assert_int_equal(window_size(&window), 100);
	window_troubled(&window, NOW);
	assert_int_equal(window_size(&window), 50);
	/* What comes with it is the same trouble. */
	window_troubled(&window, NOW + WINDOW_TROUBLE_MS - 1);
	assert_int_equal(window_size(&window), 50);
	for (i = 1; i < 20; i++)
		window_troubled(&window, NOW + i * WINDOW_TROUBLE_MS);
	assert_int_equal(window_size(&window), 1);
	window_succeeded(&window, NOW);
	assert_int_equal(window_size(&window), 2);
}

static void
window_of_few(void **state)
{
	struct window window;

	(void)state;
	window_init(&window, 0);
	assert_int_equal(window_size(&window), 1);
	window_succeeded(&window, NOW);
	assert_int_equal(window_size(&window), 1);
	window_init(&window, 3);
	assert_int_equal(window_size(&window), 3);
}

static void
window_capped(void **state)
{
	struct window window;
	unsigned i;

	(void)state;
	window_init(&window, 100);
	for (i = 0; i < 1000; i++)
		window_succeeded(&window, NOW);
	i = window_size(&window);
	window_cap(&window, NOW, 60);
	assert_int_equal(window_size(&window), i / 2);
	/* Replies of one moment are one fact. */
	window_cap(&window, NOW + 1, 60);
	window_troubled(&window, NOW + 1);
	window_cap(&window, NOW + 1, 30);
	assert_int_equal(window_size(&window), i / 2);
	for (unsigned n = 0; n < 1000; n++)
		window_succeeded(&window, NOW + 60000);
	assert_int_equal(window_size(&window), i / 2);
	/* Then it grows from there. */
	window_succeeded(&window, NOW + 60001);
	for (unsigned n = 0; n < i; n++)
		window_succeeded(&window, NOW + 60001);
	assert_in_range(window_size(&window), i / 2 + 1, i / 2 + 3);
	for (i = 1; i < 10; i++)
		window_cap(&window, NOW + i * 1000, 60);
	assert_int_equal(window_size(&window), 1);
}

/* What nobody answered for begins as a host that nothing is known of. */
static void
window_begins_again(void **state)
{
	struct window window;

	(void)state;
	window_init(&window, 100);
	for (unsigned i = 0; i < 1000; i++)
		window_succeeded(&window, NOW);
	window_restart(&window);
	assert_int_equal(window_size(&window), WINDOW_START);
	window_troubled(&window, NOW);
	window_restart(&window);
	assert_int_equal(window_size(&window), WINDOW_START / 2);
}

static void
breaker_doubles(void **state)
{
	struct breaker breaker = { 0 };
	int64_t now_ms = NOW, rest_ms = BREAKER_FIRST_S * 1000;

	(void)state;
	assert_false(breaker_is_open(&breaker, now_ms));
	for (int i = 0; i < 20; i++) {
		assert_true(breaker_try(&breaker, now_ms));
		breaker_failed(&breaker, now_ms, 0);
		assert_int_equal(breaker.rests_until_ms - now_ms, rest_ms);
		assert_false(breaker_try(&breaker, now_ms + rest_ms - 1));
		assert_true(breaker_is_open(&breaker, now_ms + rest_ms - 1));
		now_ms = breaker.rests_until_ms;
		rest_ms *= 2;
		if (rest_ms > BREAKER_MOST_S * 1000)
			rest_ms = BREAKER_MOST_S * 1000;
	}
	/* One tries; others wait for what comes of it. */
	assert_true(breaker_try(&breaker, now_ms));
	assert_false(breaker_try(&breaker, now_ms));
	assert_true(breaker_is_open(&breaker, now_ms));
	breaker_succeeded(&breaker);
	assert_true(breaker_try(&breaker, now_ms));
	assert_true(breaker_try(&breaker, now_ms));
}

static void
breaker_counts_once(void **state)
{
	struct breaker breaker = { 0 };
	int64_t until_ms;

	(void)state;
	/* Five were tried beside each other. */
	for (int i = 0; i < 5; i++)
		assert_true(breaker_try(&breaker, NOW));
	for (int i = 0; i < 5; i++)
		breaker_failed(&breaker, NOW, 0);
	assert_int_equal(breaker.failures, 1);
	until_ms = breaker.rests_until_ms;
	assert_int_equal(until_ms, NOW + BREAKER_FIRST_S * 1000);
	/* Given up: the next may try, and nothing was learned. */
	assert_true(breaker_try(&breaker, until_ms));
	breaker_gave_up(&breaker);
	assert_int_equal(breaker.failures, 1);
	assert_true(breaker_try(&breaker, until_ms));
	/* A quarter more by chance. */
	breaker_failed(&breaker, NOW, UINT32_MAX);
	assert_in_range(breaker.rests_until_ms - NOW,
	    2 * BREAKER_FIRST_S * 1000, 2 * BREAKER_FIRST_S * 1250 - 1);
}

static void
bucket_fills(void **state)
{
	struct bucket bucket = { 0 };
	int64_t now_ms = NOW, wait_ms;
	int taken = 0;

	(void)state;
	assert_int_equal(bucket_take(&bucket, now_ms), 0); /* no limit */
	bucket_limit(&bucket, 2, now_ms, 0);
	while (now_ms < NOW + 10000) {
		wait_ms = bucket_take(&bucket, now_ms);
		if (wait_ms == 0)
			taken++;
		assert_in_range(wait_ms, 0, 501);
		now_ms += wait_ms;
	}
	assert_in_range(taken, 20, 22);
	/* What was not used does not add up for long. */
	now_ms += 1000000;
	for (taken = 0; bucket_take(&bucket, now_ms) == 0; taken++)
		continue;
	assert_int_equal(taken, 2);
}

static void
bucket_for_a_while(void **state)
{
	struct bucket bucket = { 0 };

	(void)state;
	bucket_limit(&bucket, 0.1, NOW, NOW + 5000);
	assert_int_equal(bucket_take(&bucket, NOW), 0);
	assert_in_range(bucket_take(&bucket, NOW), 9999, 10001);
	assert_int_equal(bucket_take(&bucket, NOW + 5000), 0);
	assert_int_equal(bucket_take(&bucket, NOW + 5000), 0);
}

/* A host that says "slower" to each message slows us all the same. */
static void
bucket_limited_again(void **state)
{
	struct bucket bucket = { 0 };
	int taken = 0;

	(void)state;
	for (int64_t now_ms = NOW; now_ms < NOW + 5000; now_ms += 10)
		if (bucket_take(&bucket, now_ms) == 0) {
			taken++;
			bucket_limit(&bucket, 1, now_ms, now_ms + 60000);
		}
	assert_in_range(taken, 5, 7);
}

/* What a reply asks for does not take the place of what the operator says. */
static void
bucket_of_an_operator(void **state)
{
	struct bucket bucket = { 0 };

	(void)state;
	bucket_limit(&bucket, 0.5, NOW, 0);
	bucket_limit(&bucket, 1, NOW, NOW + 5000);
	assert_true(bucket_rate(&bucket, NOW) == 0.5);
	bucket_limit(&bucket, 20, NOW, 0);
	assert_true(bucket_rate(&bucket, NOW) == 1);
	assert_true(bucket_rate(&bucket, NOW + 5000) == 20);
}

static void
window_of_an_operator(void **state)
{
	struct window window;

	(void)state;
	window_init(&window, 100);
	window_limit(&window, 3);
	assert_int_equal(window_size(&window), 3);
	window_limit(&window, 4);
	for (int i = 0; i < 50; i++)
		window_succeeded(&window, NOW);
	assert_int_equal(window_size(&window), 3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(window_grows_and_halves),
		cmocka_unit_test(window_of_few),
		cmocka_unit_test(window_capped),
		cmocka_unit_test(window_begins_again),
		cmocka_unit_test(breaker_doubles),
		cmocka_unit_test(breaker_counts_once),
		cmocka_unit_test(bucket_fills),
		cmocka_unit_test(bucket_for_a_while),
		cmocka_unit_test(bucket_limited_again),
		cmocka_unit_test(bucket_of_an_operator),
		cmocka_unit_test(window_of_an_operator),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
