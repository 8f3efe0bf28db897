/* SPDX-License-Identifier: ISC */
/* Time: a monotonic clock for deadlines, the wall clock for people and files;
 * and waiting.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* Milliseconds of a clock that never jumps; its zero means nothing. */
int64_t clock_ms(void);
/* The same in microseconds. */
int64_t clock_us(void);
/* Milliseconds since this boot, those that the machine slept in included. */
int64_t clock_boot_ms(void);
/* Milliseconds since 1970, by a clock that may be set. */
int64_t clock_wall_ms(void);

void clock_sleep_ms(int ms);

/*
 * Waits until the descriptor has one of the events (poll(2)), or the time of
 * clock_ms() is deadline_ms.  1; 0 when the time has passed; -1 with errno.
 */
int clock_wait_fd(int fd, short events, int64_t deadline_ms);

enum { CLOCK_DATE_SIZE = 40 };

/* Writes the date of RFC 5322 3.3 in UTC: Sat, 21 Nov 2026 04:41:00 +0000 */
void clock_date(time_t when, char out[CLOCK_DATE_SIZE]);

#endif
