/* SPDX-License-Identifier: ISC */
/* Waiting for what tells nobody when it happens. */
#ifndef SVCTOOL_WAIT_H
#define SVCTOOL_WAIT_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

enum { WAIT_LOOK_MS = 20 };

/*
 * Ends a look at something: false when the deadline (of clock_ms()) has passed,
 * else true, a moment later, for another look.
 */
static inline bool
wait_more(int64_t deadline_ms)
{
	if (clock_ms() >= deadline_ms)
		return false;
	poll(NULL, 0, WAIT_LOOK_MS);
	return true;
}

#endif
