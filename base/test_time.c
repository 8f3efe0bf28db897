/* SPDX-License-Identifier: ISC */
/* Times that are built in, which tests make shorter. */
#include "base/test_time.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static const char *times; /* or NULL */

static void
read_test_times(void)
{
	times = secure_getenv("MQMAIL_TEST_TIMES");
}

int64_t
test_time_ms(const char *name, int64_t standard_ms)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	size_t length = strlen(name);
	const char *at;

	pthread_once(&once, read_test_times);
	for (at = times; at != NULL; at = strchr(at, ' ')) {
		at += strspn(at, " ");
		if (strncmp(at, name, length) == 0 && at[length] == '=')
			return strtoll(at + length + 1, NULL, 10);
	}
	return standard_ms;
}
