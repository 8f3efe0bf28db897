/* SPDX-License-Identifier: ISC */
/* How fast, and when, a destination is given mail. */
#include "remote/pace.h"

/* -- the window */

void
window_init(struct window *window, unsigned max)
{
	*window = (struct window){ .max = max == 0 ? 1 : max,
		.troubled_at_ms = INT64_MIN / 2 };
	window->size = window->max < WINDOW_START ? window->max : WINDOW_START;
}

unsigned
window_size(const struct window *window)
{
	return (unsigned)window->size;
}

void
window_succeeded(struct window *window, int64_t now_ms)
{
	if (now_ms < window->capped_until_ms)
		return;
	window->size += 1 / window->size;
	if (window->size > window->max)
		window->size = window->max;
}

void
window_troubled(struct window *window, int64_t now_ms)
{
	if (now_ms - window->troubled_at_ms < WINDOW_TROUBLE_MS)
		return;
	window->troubled_at_ms = now_ms;
	window->size = window->size < 2 ? 1 : window->size / 2;
}

void
window_cap(struct window *window, int64_t now_ms, unsigned seconds)
{
	int64_t until_ms = now_ms + (int64_t)seconds * 1000;

	window_troubled(window, now_ms);
	if (window->capped_until_ms < until_ms)
		window->capped_until_ms = until_ms;
}

void
window_restart(struct window *window)
{
	if (window->size > WINDOW_START)
		window->size = WINDOW_START;
}

void
window_limit(struct window *window, unsigned max)
{
	if (max < window->max)
		window->max = max;
	if (window->size > window->max)
		window->size = window->max;
}

/* -- the breaker */

bool
breaker_is_open(const struct breaker *breaker, int64_t now_ms)
{
	return breaker->failures > 0 &&
	    (breaker->is_probing || now_ms < breaker->rests_until_ms);
}

bool
breaker_try(struct breaker *breaker, int64_t now_ms)
{
	if (breaker_is_open(breaker, now_ms))
		return false;
	breaker->is_probing = breaker->failures > 0;
	return true;
}

void
breaker_succeeded(struct breaker *breaker)
{
	*breaker = (struct breaker){ 0 };
}

void
breaker_failed(struct breaker *breaker, int64_t now_ms, uint32_t random)
{
	int64_t rest_ms = BREAKER_FIRST_S * 1000;
	unsigned i;

	/* Those that were tried beside each other failed once. */
	if (breaker->failures == 0 || breaker->is_probing)
		breaker->failures++;
	for (i = 1; i < breaker->failures && rest_ms < BREAKER_MOST_S * 1000;
	     i++)
		rest_ms *= 2;
	if (rest_ms > BREAKER_MOST_S * 1000)
		rest_ms = BREAKER_MOST_S * 1000;
	breaker->rests_until_ms = now_ms + rest_ms + random % (rest_ms / 4);
	breaker->is_probing = false;
}

void
breaker_gave_up(struct breaker *breaker)
{
	breaker->is_probing = false;
}

/* -- how many a time */

double
bucket_rate(const struct bucket *bucket, int64_t now_ms)
{
	double rate = bucket->always_per_second;

	if (now_ms < bucket->slowed_until_ms &&
	    (rate == 0 || bucket->per_second < rate))
		rate = bucket->per_second;
	return rate;
}

void
bucket_limit(
    struct bucket *bucket, double per_second, int64_t now_ms, int64_t until_ms)
{
	/* Said again, it gives nothing away. */
	if (bucket_rate(bucket, now_ms) == 0) {
		bucket->tokens = 1;
		bucket->filled_at_ms = now_ms;
	}
	if (until_ms == 0)
		bucket->always_per_second = per_second;
	else {
		bucket->per_second = per_second;
		bucket->slowed_until_ms = until_ms;
	}
}

int64_t
bucket_take(struct bucket *bucket, int64_t now_ms)
{
	double rate = bucket_rate(bucket, now_ms), most = rate < 1 ? 1 : rate;

	if (rate == 0)
		return 0;
	bucket->tokens +=
	    rate * (double)(now_ms - bucket->filled_at_ms) / 1000;
	bucket->filled_at_ms = now_ms;
	if (bucket->tokens > most)
		bucket->tokens = most;
	if (bucket->tokens < 1)
		return 1 + (int64_t)((1 - bucket->tokens) * 1000 / rate);
	bucket->tokens -= 1;
	return 0;
}
