/* SPDX-License-Identifier: ISC */
/* Time: a monotonic clock for deadlines, the wall clock for people and files.
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

enum { CLOCK_DATE_SIZE = 40 };

/* Writes the date of RFC 5322 3.3 in UTC: Sat, 21 Nov 2026 04:41:00 +0000 */
void clock_date(time_t when, char out[CLOCK_DATE_SIZE]);

#endif
