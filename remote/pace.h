/* SPDX-License-Identifier: ISC */
/*
 * How fast, and when, a destination is given mail (docs/remote.md): its window
 * of connections, and the breakers of its addresses.
 *
 * Plain values of their owner; times are arguments: now_ms is clock_ms(),
 * random any number.
 */
#ifndef REMOTE_PACE_H
#define REMOTE_PACE_H

#include <stdbool.h>
#include <stdint.h>

/* -- the window: how many connections at once */

enum {
	WINDOW_START = 5,
	/* troubles of one moment count once */
	WINDOW_TROUBLE_MS = 1000
};

struct window {
	double size; /* at least 1 */
	unsigned max;
	int64_t troubled_at_ms;
	int64_t capped_until_ms; /* REPLY_ACTION_FEWER: it does not grow */
};

void window_init(struct window *window, unsigned max);
/* So many connections there may be. */
unsigned window_size(const struct window *window);
/* A message was taken: one more connection after a window of these. */
void window_succeeded(struct window *window, int64_t now_ms);
/* 421, or "too many": half, but never under 1. */
void window_troubled(struct window *window, int64_t now_ms);
/* The same, and for so long it is not more than that. */
void window_cap(struct window *window, int64_t now_ms, unsigned seconds);
/* Nobody answered: what comes back gets no more than an unknown host. */
void window_restart(struct window *window);
/* From now on never more than that, nor than what was said before. */
void window_limit(struct window *window, unsigned max);

/* -- the breaker of one address, or of a destination */

enum {
	BREAKER_FIRST_S = 60, /* doubled by each failure after the first, */
	BREAKER_MOST_S = 3600 /* to this; and up to a quarter more by chance */
};

struct breaker {
	unsigned failures; /* one after the other */
	int64_t rests_until_ms;
	bool is_probing; /* half open: one tries */
};

/*
 * May somebody try now?  When a rest is over one may, until breaker_ended() is
 * told; true counts as the beginning of that try.
 */
bool breaker_try(struct breaker *breaker, int64_t now_ms);
/* The same, without a try. */
bool breaker_is_open(const struct breaker *breaker, int64_t now_ms);
/* What came of a try. */
void breaker_succeeded(struct breaker *breaker);
void breaker_failed(struct breaker *breaker, int64_t now_ms, uint32_t random);
/* It was given up for a reason that says nothing about the address. */
void breaker_gave_up(struct breaker *breaker);

/* -- how many a time */

struct bucket {
	double tokens;
	double always_per_second; /* 0: no limit */
	double per_second;        /* REPLY_ACTION_SLOWER, for a while */
	int64_t filled_at_ms;
	int64_t slowed_until_ms;
};

/*
 * From now on so many a second; until_ms 0: for ever.  The smaller of what
 * counts for ever and for a while counts.
 */
void bucket_limit(
    struct bucket *bucket, double per_second, int64_t now_ms, int64_t until_ms);
/* So many a second now; 0: no limit. */
double bucket_rate(const struct bucket *bucket, int64_t now_ms);
/* Takes one.  0, or in how many milliseconds there will be one. */
int64_t bucket_take(struct bucket *bucket, int64_t now_ms);

#endif
