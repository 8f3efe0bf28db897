/* SPDX-License-Identifier: ISC */
/* multilog's times, and how people write a time. */
#ifndef SVCTOOL_SHOW_LOG_TIME_H
#define SVCTOOL_SHOW_LOG_TIME_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "base/error.h"

/* "@" and 24 hexadecimal digits: seconds of TAI64, and nanoseconds. */
enum { TAI64N_LENGTH = 25, TAI64N_SIZE, LOG_TIME_SIZE = 40 };

/*
 * Does text begin with a TAI64N label?  Seconds are Unix time, by the constant
 * of daemontools, which knows no leap seconds.
 */
bool tai64n_read(const char *text, size_t length, struct timespec *when_out);
void tai64n_write(const struct timespec *when, char out[TAI64N_SIZE]);

/* "2026-11-30 08:44:11.123456", or in UTC "2026-11-30T07:44:11.123456Z". */
void log_time_write(
    const struct timespec *when, bool is_utc, char out[LOG_TIME_SIZE]);

/*
 * Reads "2026-11-30 08:44:11" (or with T, without seconds, without a time),
 * "08:44" of today, "90s", "10m", "2h" or "3d" before now, or a TAI64N label.
 * A Z at the end, or is_utc, makes it UTC; else it is local time.  0 or -1.
 */
int log_time_parse(const char *text, bool is_utc, time_t now,
    struct timespec *when_out, struct error *err);

bool log_time_is_before(const struct timespec *a, const struct timespec *b);

#endif
