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

static __thread struct log_batch *own_batch; /* the calling thread's */
static pthread_mutex_t batches_lock = PTHREAD_MUTEX_INITIALIZER;
static struct log_batch *batches; /* under batches_lock, taken first */

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

/* With the batch's lock held. */
static void
flush_batch(struct log_batch *batch)
{
	write_all(batch->text, batch->length);
	batch->length = 0;
	batch->is_old = false;
}

static void
add_to_batch(struct log_batch *batch, const char *line, size_t length)
{
	pthread_mutex_lock(&batch->lock);
	if (length > sizeof(batch->text) - batch->length)
		flush_batch(batch);
	if (length > sizeof(batch->text))
		write_all(line, length);
	else {
		memcpy(batch->text + batch->length, line, length);
		batch->length += length;
	}
	pthread_mutex_unlock(&batch->lock);
}

void
log_batch_begin(struct log_batch *batch)
{
	batch->is_old = false;
	batch->length = 0;
	pthread_mutex_init(&batch->lock, NULL);
	pthread_mutex_lock(&batches_lock);
	batch->next = batches;
	batch->link = &batches;
	if (batches != NULL)
		batches->link = &batch->next;
	batches = batch;
	pthread_mutex_unlock(&batches_lock);
	own_batch = batch;
}

void
log_batch_end(struct log_batch *batch)
{
	own_batch = NULL;
	pthread_mutex_lock(&batches_lock);
	*batch->link = batch->next;
	if (batch->next != NULL)
		batch->next->link = batch->link;
	pthread_mutex_unlock(&batches_lock);
	/* Nobody else knows it any more. */
	flush_batch(batch);
	pthread_mutex_destroy(&batch->lock);
}

void
log_batches_tick(void)
{
	struct log_batch *batch;

	pthread_mutex_lock(&batches_lock);
	for (batch = batches; batch != NULL; batch = batch->next) {
		pthread_mutex_lock(&batch->lock);
		if (batch->is_old)
			flush_batch(batch);
		batch->is_old = batch->length > 0;
		pthread_mutex_unlock(&batch->lock);
	}
	pthread_mutex_unlock(&batches_lock);
}

void
log_batches_flush(void)
{
	struct log_batch *batch;

	pthread_mutex_lock(&batches_lock);
	for (batch = batches; batch != NULL; batch = batch->next) {
		pthread_mutex_lock(&batch->lock);
		flush_batch(batch);
		pthread_mutex_unlock(&batch->lock);
	}
	pthread_mutex_unlock(&batches_lock);
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
	if (own_batch != NULL) {
		add_to_batch(own_batch, line, used);
		return;
	}
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

	log_batches_flush();
	own_batch = NULL;
	va_start(args, format);
	log_args("fatal: ", format, args);
	va_end(args);
	log_flush();
	exit(code);
}
