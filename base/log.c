/* SPDX-License-Identifier: ISC */
/* Log lines to descriptor 2. */
#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 4096, GATHER_BYTES = 65536 };

static const char *program_name;
static bool gathering;
static pthread_mutex_t gather_lock = PTHREAD_MUTEX_INITIALIZER;
static char gathered[GATHER_BYTES];
static size_t gathered_bytes;

void
log_open(const char *program)
{
	program_name = program;
}

/* A log that cannot be written must not stop mail: after errors, drop it. */
static void
write_all(const char *text, size_t length)
{
	while (length > 0) {
		ssize_t n = write(2, text, length);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && errno == EAGAIN) {
			struct pollfd out = { .fd = 2, .events = POLLOUT };

			poll(&out, 1, 1000);
			continue;
		}
		if (n <= 0)
			return;
		text += n;
		length -= (size_t)n;
	}
}

void
log_gather(void)
{
	gathering = true;
}

/* With gather_lock held. */
static void
flush_gathered(void)
{
	write_all(gathered, gathered_bytes);
	gathered_bytes = 0;
}

void
log_flush(void)
{
	pthread_mutex_lock(&gather_lock);
	flush_gathered();
	pthread_mutex_unlock(&gather_lock);
}

static void
log_args(const char *level, const char *format, va_list args)
{
	char line[LINE_MAX_BYTES];
	size_t used = 0, i;
	int n;

	if (program_name != NULL)
		used = (size_t)snprintf(line, 64, "%s: ", program_name);
	used += (size_t)snprintf(line + used, 64, "%s", level);
	n = vsnprintf(line + used, sizeof(line) - used - 1, format, args);
	if (n < 0)
		return;
	i = used;
	used += (size_t)n;
	if (used > sizeof(line) - 2)
		used = sizeof(line) - 2;
	for (; i < used; i++)
		if ((unsigned char)line[i] < ' ' || line[i] == 127)
			line[i] = '?';
	line[used++] = '\n';
	if (!gathering) {
		write_all(line, used);
		return;
	}
	pthread_mutex_lock(&gather_lock);
	if (gathered_bytes + used > sizeof(gathered))
		flush_gathered();
	memcpy(gathered + gathered_bytes, line, used);
	gathered_bytes += used;
	pthread_mutex_unlock(&gather_lock);
}

void
log_line(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_args("", format, args);
	va_end(args);
}

void
fatal(int code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_args("fatal: ", format, args);
	va_end(args);
	log_flush();
	exit(code);
}
