/* SPDX-License-Identifier: ISC */
/* multilog's times, and how people write a time. */
#include "svctool/show/log_time.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* 2^62, and the 10 seconds that TAI was ahead when Unix time began to count. */
#define TAI64_EPOCH (UINT64_C(4611686018427387904) + 10)

enum { SECOND_DIGITS = 16, MICROSECOND_NS = 1000, SECOND_NS = 1000000000 };

static bool
read_hex(const char *digits, size_t count, uint64_t *value_out)
{
	*value_out = 0;
	for (size_t i = 0; i < count; i++) {
		char c = digits[i];
		unsigned digit;

		if (c >= '0' && c <= '9')
			digit = (unsigned)(c - '0');
		else if (c >= 'a' && c <= 'f')
			digit = (unsigned)(c - 'a') + 10;
		else
			return false;
		*value_out = *value_out << 4 | digit;
	}
	return true;
}

bool
tai64n_read(const char *text, size_t length, struct timespec *when_out)
{
	uint64_t seconds, nanoseconds;

	if (length < TAI64N_LENGTH || text[0] != '@' ||
	    !read_hex(text + 1, SECOND_DIGITS, &seconds) ||
	    !read_hex(text + 1 + SECOND_DIGITS,
		TAI64N_LENGTH - 1 - SECOND_DIGITS, &nanoseconds) ||
	    seconds >> 63 != 0 || nanoseconds >= SECOND_NS)
		return false;
	*when_out = (struct timespec){
		.tv_sec = (time_t)((int64_t)seconds - (int64_t)TAI64_EPOCH),
		.tv_nsec = (long)nanoseconds,
	};
	return true;
}

void
tai64n_write(const struct timespec *when, char out[TAI64N_SIZE])
{
	snprintf(out, TAI64N_SIZE, "@%016" PRIx64 "%08lx",
	    (uint64_t)when->tv_sec + TAI64_EPOCH, when->tv_nsec);
}

void
log_time_write(
    const struct timespec *when, bool is_utc, char out[LOG_TIME_SIZE])
{
	struct tm parts;
	size_t used = 0;

	if ((is_utc ? gmtime_r(&when->tv_sec, &parts)
		    : localtime_r(&when->tv_sec, &parts)) != NULL)
		used = strftime(out, LOG_TIME_SIZE - 9,
		    is_utc ? "%Y-%m-%dT%H:%M:%S" : "%Y-%m-%d %H:%M:%S", &parts);
	if (used == 0) { /* a year that has no name */
		tai64n_write(when, out);
		return;
	}
	snprintf(out + used, LOG_TIME_SIZE - used, ".%06ld%s",
	    when->tv_nsec / MICROSECOND_NS, is_utc ? "Z" : "");
}

/* "10m": so long before now. */
static bool
parse_ago(const char *text, time_t now, struct timespec *when_out)
{
	static const struct {
		char letter;
		int seconds;
	} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 } };
	char *end;
	long count;

	if (text[0] < '0' || text[0] > '9')
		return false;
	count = strtol(text, &end, 10);
	if (end - text > 9 || end[0] == '\0' || end[1] != '\0')
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (units[i].letter == end[0]) {
			*when_out = (struct timespec){ .tv_sec = now -
				    count * units[i].seconds };
			return true;
		}
	return false;
}

static bool
parse_date(const char *text, bool is_utc, time_t now, struct timespec *when_out)
{
	static const char *const formats[] = { "%Y-%m-%d %H:%M:%S",
		"%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M",
		"%Y-%m-%d", "%H:%M:%S", "%H:%M" };

	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		struct tm parts;
		const char *end;
		bool has_z;

		if ((is_utc ? gmtime_r(&now, &parts)
			    : localtime_r(&now, &parts)) == NULL)
			return false;
		parts.tm_hour = parts.tm_min = parts.tm_sec = 0;
		end = strptime(text, formats[i], &parts);
		if (end == NULL)
			continue;
		has_z = strcmp(end, "Z") == 0 && formats[i][1] == 'Y';
		if (*end != '\0' && !has_z)
			continue;
		parts.tm_isdst = -1;
		*when_out = (struct timespec){ .tv_sec = is_utc || has_z
			    ? timegm(&parts)
			    : mktime(&parts) };
		return true;
	}
	return false;
}

int
log_time_parse(const char *text, bool is_utc, time_t now,
    struct timespec *when_out, struct error *err)
{
	if (strlen(text) == TAI64N_LENGTH &&
	    tai64n_read(text, TAI64N_LENGTH, when_out))
		return 0;
	if (parse_ago(text, now, when_out) ||
	    parse_date(text, is_utc, now, when_out))
		return 0;
	return error_set(err,
	    "'%s' is no time: write '2026-11-30 08:44:11', '08:44' (today), or "
	    "'10m' (ago; s, m, h or d)",
	    text);
}

bool
log_time_is_before(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec < b->tv_sec ||
	    (a->tv_sec == b->tv_sec && a->tv_nsec < b->tv_nsec);
}
