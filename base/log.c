/* SPDX-License-Identifier: ISC */
/*
 * Log lines to descriptor 2, whose reader may be stopped, or have a full disk.
 *
 * Mail is not to wait for that: what the pipe does not take waits in a buffer
 * of the process.  Whoever finds the buffer full waits for the reader, but all
 * of them together no longer than two seconds until it is empty again; then
 * lines are dropped, and counted, until it is half empty, and a line says how
 * many:
 *
 *	warning: 17 log lines were dropped: the log's reader did not read
 *
 * Lines are written in their order, in pieces that a pipe takes whole, so that
 * those of processes which share it are not mixed.  The lock is held while
 * writing, but not while waiting.  (Where the kernel cannot write to a pipe
 * without waiting, and another process fills it between our look and our write,
 * this one write waits.)
 */
#include "base/log.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log_text.h"

enum {
	LOG_LINE_MAX = 4096, /* with its newline */
	OUT_BYTES = 1024 * 1024,
	GATHER_BYTES = 65536,
	PACE_MS = 50,
	PAUSE_MS = 5,
	WAIT_MS = 2000,
	DRAIN_MS = 1000,
	COUNT_LINE_MAX = 200
};

_Static_assert((int)LOG_LINE_MAX <= PIPE_BUF, "a line is written whole");

static const char *program_name;

static pthread_mutex_t out_lock = PTHREAD_MUTEX_INITIALIZER;
/* Under out_lock. */
static struct {
	size_t start, length; /* what waits, in text */
	size_t dropped;       /* lines, while is_dropping */
	int64_t wait_until;   /* 0: nobody has waited since it was empty */
	int64_t pushed_at;    /* while is_paced */
	bool is_gathering, is_paced, is_dropping, has_exit;
	char text[OUT_BYTES];
} out;

/* A file is written at once, if not without waiting for its disk. */
static bool
is_log_file(void)
{
	struct stat st;

	return fstat(2, &st) == 0 && S_ISREG(st.st_mode);
}

/*
 * Writes at most PIPE_BUF bytes without waiting.  How many; 0 when the reader
 * must read first; -1 when nobody ever will.
 */
static ssize_t
write_some_log(char *text, size_t length)
{
	struct iovec piece = { text, length };
	struct pollfd ready = { .fd = 2, .events = POLLOUT };
	ssize_t n;

	do
		n = pwritev2(2, &piece, 1, -1, RWF_NOWAIT);
	while (n == -1 && errno == EINTR);
	if (n != -1)
		return n;
	if (errno == EAGAIN && !is_log_file())
		return 0;
	/* Older kernels cannot with pipes, nor any with terminals. */
	if (errno != EAGAIN && errno != EOPNOTSUPP && errno != EINVAL &&
	    errno != ENOSYS)
		return -1;
	if (poll(&ready, 1, 0) < 1)
		return 0;
	n = write(2, text, length);
	return n == -1 && (errno == EAGAIN || errno == EINTR) ? 0 : n;
}

/* The length of the next write: whole lines, if a pipe takes them whole. */
static size_t
next_log_piece(void)
{
	const char *text = out.text + out.start, *end;

	if (out.length <= PIPE_BUF)
		return out.length;
	end = memrchr(text, '\n', PIPE_BUF);
	return end == NULL ? PIPE_BUF : (size_t)(end - text) + 1;
}

static void
write_waiting_log(void)
{
	while (out.length > 0) {
		ssize_t n = write_some_log(
		    out.text + out.start, next_log_piece());

		if (n == 0)
			return;
		if (n == -1) /* a log that is gone: mail goes on */
			n = (ssize_t)out.length;
		out.start += (size_t)n;
		out.length -= (size_t)n;
	}
	out.start = 0;
	out.wait_until = 0;
}

static void
append_log(const char *lines, size_t length)
{
	if (out.start + out.length + length > OUT_BYTES) {
		memmove(out.text, out.text + out.start, out.length);
		out.start = 0;
	}
	memcpy(out.text + out.start + out.length, lines, length);
	out.length += length;
}

static void
append_drop_count(void)
{
	char line[COUNT_LINE_MAX];
	int n = snprintf(line, sizeof(line),
	    "%.60s%swarning: %zu log line%s dropped: the log's reader did not "
	    "read\n",
	    program_name != NULL ? program_name : "",
	    program_name != NULL ? ": " : "", out.dropped,
	    out.dropped == 1 ? " was" : "s were");

	append_log(line, (size_t)n);
}

static void
push_log(void)
{
	if (out.is_paced)
		out.pushed_at = clock_ms();
	write_waiting_log();
	if (!out.is_dropping || out.length > OUT_BYTES / 2)
		return;
	out.is_dropping = false;
	append_drop_count();
	out.dropped = 0;
	write_waiting_log();
}

static void
drop_log(const char *lines, size_t length)
{
	const char *end = lines + length;

	out.is_dropping = true;
	while ((lines = memchr(lines, '\n', (size_t)(end - lines))) != NULL) {
		out.dropped++;
		lines++;
	}
}

static void
pause_unlocked(void)
{
	pthread_mutex_unlock(&out_lock);
	clock_sleep_ms(PAUSE_MS);
	pthread_mutex_lock(&out_lock);
}

static bool
has_log_room(size_t length)
{
	return !out.is_dropping && out.length + length <= OUT_BYTES;
}

/* May a caller for whose lines there is no room wait for it? */
static bool
may_still_wait(void)
{
	if (out.is_dropping)
		return false;
	if (out.wait_until == 0)
		out.wait_until = clock_ms() + WAIT_MS;
	return clock_ms() < out.wait_until;
}

/* Waits up to a second until all is written.  exit() does that, too. */
static void
drain_log(void)
{
	int64_t until = clock_ms() + DRAIN_MS;

	pthread_mutex_lock(&out_lock);
	push_log();
	while (out.length > 0 && clock_ms() < until) {
		pause_unlocked();
		push_log();
	}
	pthread_mutex_unlock(&out_lock);
}

static bool
is_push_due(void)
{
	if (out.is_paced)
		return out.length >= PIPE_BUF ||
		    clock_ms() >= out.pushed_at + PACE_MS;
	return !out.is_gathering || out.length >= GATHER_BYTES;
}

/* With out_lock.  False: there is no room, and there may be later. */
static bool
put_or_wait(const char *lines, size_t length)
{
	if (!has_log_room(length))
		push_log();
	if (has_log_room(length))
		append_log(lines, length);
	else if (!may_still_wait())
		drop_log(lines, length);
	else
		return false;
	if (is_push_due())
		push_log();
	if (out.length > 0 && !out.has_exit)
		out.has_exit = atexit(drain_log) == 0;
	return true;
}

/* Waits for room as long as may_still_wait(). */
static void
put_log(const char *lines, size_t length)
{
	pthread_mutex_lock(&out_lock);
	while (!put_or_wait(lines, length))
		pause_unlocked();
	pthread_mutex_unlock(&out_lock);
}

/* The same without waiting: false when it would have to, and nothing is done.
 */
static bool
try_log(const char *lines, size_t length)
{
	bool is_done;

	pthread_mutex_lock(&out_lock);
	is_done = put_or_wait(lines, length);
	pthread_mutex_unlock(&out_lock);
	return is_done;
}

void
log_flush(void)
{
	pthread_mutex_lock(&out_lock);
	push_log();
	pthread_mutex_unlock(&out_lock);
}

static __thread struct log_batch *own_batch; /* the calling thread's */

static pthread_mutex_t batches_lock = PTHREAD_MUTEX_INITIALIZER;
static LIST_HEAD(, log_batch) batches; /* under batches_lock, taken first */

void
log_open(const char *program)
{
	pthread_mutex_lock(&out_lock);
	program_name = program;
	pthread_mutex_unlock(&out_lock);
}

void
log_gather(void)
{
	pthread_mutex_lock(&out_lock);
	out.is_gathering = true;
	pthread_mutex_unlock(&out_lock);
}

void
log_pace(void)
{
	pthread_mutex_lock(&out_lock);
	out.is_paced = true;
	pthread_mutex_unlock(&out_lock);
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
	put_log(text, length);
}

static bool
add_if_it_fits(struct log_batch *batch, const char *line, size_t length)
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
	if (add_if_it_fits(batch, line, length))
		return;
	flush_own_batch(batch);
	if (!add_if_it_fits(batch, line, length))
		put_log(line, length);
}

void
log_batch_begin(struct log_batch *batch)
{
	batch->is_old = false;
	batch->length = 0;
	pthread_mutex_init(&batch->lock, NULL);
	pthread_mutex_lock(&batches_lock);
	LIST_INSERT_HEAD(&batches, batch, link);
	pthread_mutex_unlock(&batches_lock);
	own_batch = batch;
}

void
log_batch_end(struct log_batch *batch)
{
	own_batch = NULL;
	pthread_mutex_lock(&batches_lock);
	LIST_REMOVE(batch, link);
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
	LIST_FOREACH(batch, &batches, link) {
		pthread_mutex_lock(&batch->lock);
		if ((all || batch->is_old) &&
		    try_log(batch->text, batch->length))
			batch->length = 0;
		batch->is_old = batch->length > 0;
		pthread_mutex_unlock(&batch->lock);
	}
	pthread_mutex_unlock(&batches_lock);
	log_flush();
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
	drain_log();
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
		put_log(line, used);
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
