/* SPDX-License-Identifier: ISC */
/* Log lines to descriptor 2. */
#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log_out.h"
#include "base/log_text.h"

static const char *program_name;

static __thread struct log_batch *own_batch; /* the calling thread's */
static pthread_mutex_t batches_lock = PTHREAD_MUTEX_INITIALIZER;
static struct log_batch *batches; /* under batches_lock, taken first */

void
log_open(const char *program)
{
	program_name = program;
	log_out_name(program);
}

void
log_gather(void)
{
	log_out_gather();
}

void
log_flush(void)
{
	log_out_push();
}

/* The batch's own thread, which alone adds to it, so the order stays. */
static void
flush_own_batch(struct log_batch *batch)
{
	char text[LOG_BATCH_BYTES];
	size_t length;

	pthread_mutex_lock(&batch->lock);
	length = batch->length;
	memcpy(text, batch->text, length);
	batch->length = 0;
	batch->is_old = false;
	pthread_mutex_unlock(&batch->lock);
	/* Without the lock: who looks at all batches does not wait for us. */
	log_out_put(text, length);
}

static bool
fits(struct log_batch *batch, const char *line, size_t length)
{
	bool is_added;

	pthread_mutex_lock(&batch->lock);
	is_added = length <= sizeof(batch->text) - batch->length;
	if (is_added) {
		memcpy(batch->text + batch->length, line, length);
		batch->length += length;
	}
	pthread_mutex_unlock(&batch->lock);
	return is_added;
}

static void
add_to_batch(struct log_batch *batch, const char *line, size_t length)
{
	if (fits(batch, line, length))
		return;
	flush_own_batch(batch);
	if (!fits(batch, line, length))
		log_out_put(line, length);
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
	flush_own_batch(batch);
	pthread_mutex_destroy(&batch->lock);
}

/* Writes what waits in batches that are old, or all; never waits for it. */
static void
flush_batches(bool all)
{
	struct log_batch *batch;

	pthread_mutex_lock(&batches_lock);
	for (batch = batches; batch != NULL; batch = batch->next) {
		pthread_mutex_lock(&batch->lock);
		if ((all || batch->is_old) &&
		    log_out_try(batch->text, batch->length))
			batch->length = 0;
		batch->is_old = batch->length > 0;
		pthread_mutex_unlock(&batch->lock);
	}
	pthread_mutex_unlock(&batches_lock);
	log_out_push();
}

void
log_batches_tick(void)
{
	flush_batches(false);
}

void
log_batches_flush(void)
{
	flush_batches(true);
}

void
log_finish(void)
{
	log_batches_flush();
	log_out_drain();
}

static void
log_args(const char *level, const char *format, va_list args)
{
	char line[LOG_LINE_MAX];
	size_t used = 0, start;
	int n;

	if (program_name != NULL)
		used = (size_t)snprintf(line, 64, "%s: ", program_name);
	used += (size_t)snprintf(line + used, 64, "%s", level);
	n = vsnprintf(line + used, sizeof(line) - used - 1, format, args);
	if (n < 0)
		return;
	start = used;
	used += (size_t)n;
	if (used > sizeof(line) - 2)
		used = sizeof(line) - 2;
	used = start + log_clean(line + start, used - start);
	line[used++] = '\n';
	if (own_batch != NULL)
		add_to_batch(own_batch, line, used);
	else
		log_out_put(line, used);
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
	exit(code); /* and with it what waits */
}
