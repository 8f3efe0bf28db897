/* SPDX-License-Identifier: ISC */
/* Time. */
#include "base/clock.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>

static int64_t
read_clock(
    clockid_t clock, int64_t per_second, int64_t nanoseconds_per_unit)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * per_second + ts.tv_nsec / nanoseconds_per_unit;
}

int64_t
clock_ms(void)
{
	return read_clock(CLOCK_MONOTONIC, 1000, 1000000);
}

int64_t
clock_us(void)
{
	return read_clock(CLOCK_MONOTONIC, 1000000, 1000);
}

int64_t
clock_boot_ms(void)
{
	return read_clock(CLOCK_BOOTTIME, 1000, 1000000);
}

int64_t
clock_wall_ms(void)
{
	return read_clock(CLOCK_REALTIME, 1000, 1000000);
}

void
clock_sleep_ms(int ms)
{
	struct timespec span = { .tv_sec = ms / 1000,
		.tv_nsec = ms % 1000 * 1000000L };

	nanosleep(&span, NULL);
}

int
clock_wait_fd(int fd, short events, int64_t deadline_ms)
{
	struct pollfd wanted = { .fd = fd, .events = events };
	int64_t left_ms;

	while ((left_ms = deadline_ms - clock_ms()) > 0) {
		int n = poll(&wanted, 1, (int)left_ms);

		if (n > 0)
			return 1;
		if (n == -1 && errno != EINTR)
			return -1;
	}
	return 0;
}

void
clock_date(time_t when, char out[CLOCK_DATE_SIZE])
{
	/* strftime's names follow the locale, which must not reach a header. */
	static const char days[] = "SunMonTueWedThuFriSat";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	struct tm tm;

	gmtime_r(&when, &tm);
	snprintf(out, CLOCK_DATE_SIZE,
	    "%.3s, %02d %.3s %04d %02d:%02d:%02d +0000", days + 3 * tm.tm_wday,
	    tm.tm_mday, months + 3 * tm.tm_mon, tm.tm_year + 1900, tm.tm_hour,
	    tm.tm_min, tm.tm_sec);
}
