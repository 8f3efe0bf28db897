/* SPDX-License-Identifier: ISC */
/* What waits to be written to descriptor 2. */
#include "base/log_out.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/plural.h"

enum {
	OUT_BYTES = 1024 * 1024,
	GATHER_BYTES = 65536,
	PAUSE_MS = 5,
	WAIT_MS = 2000,
	DRAIN_MS = 1000,
	COUNT_LINE_MAX = 200
};

_Static_assert((int)LOG_LINE_MAX <= PIPE_BUF, "a line is written whole");

static pthread_mutex_t out_lock = PTHREAD_MUTEX_INITIALIZER;
/* Under out_lock. */
static struct {
	const char *program;
	size_t start, length; /* what waits, in text */
	size_t dropped;       /* lines, while is_dropping */
	int64_t wait_until;   /* 0: nobody has waited since it was empty */
	bool is_gathering, is_dropping, has_exit;
	char text[OUT_BYTES];
} out;

/* A file is written at once, if not without waiting for its disk. */
static bool
is_file(void)
{
	struct stat st;

	return fstat(2, &st) == 0 && S_ISREG(st.st_mode);
}

/*
 * Writes at most PIPE_BUF bytes without waiting.  How many; 0 when the reader
 * must read first; -1 when nobody ever will.
 */
static ssize_t
write_some(const char *text, size_t length)
{
	struct iovec piece = { (char *)(uintptr_t)text, length };
	struct pollfd ready = { .fd = 2, .events = POLLOUT };
	ssize_t n;

	do
		n = pwritev2(2, &piece, 1, -1, RWF_NOWAIT);
	while (n == -1 && errno == EINTR);
	if (n != -1)
		return n;
	if (errno == EAGAIN && !is_file())
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

/* What goes with one write: whole lines as far as a pipe takes them whole. */
static size_t
next_piece(void)
{
	const char *text = out.text + out.start, *end;

	if (out.length <= PIPE_BUF)
		return out.length;
	end = memrchr(text, '\n', PIPE_BUF);
	return end == NULL ? PIPE_BUF : (size_t)(end - text) + 1;
}

static void
write_waiting(void)
{
	while (out.length > 0) {
		ssize_t n = write_some(out.text + out.start, next_piece());

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
append(const char *lines, size_t length)
{
	if (out.start + out.length + length > OUT_BYTES) {
		memmove(out.text, out.text + out.start, out.length);
		out.start = 0;
	}
	memcpy(out.text + out.start + out.length, lines, length);
	out.length += length;
}

static void
append_count(void)
{
	char line[COUNT_LINE_MAX];
	int n = snprintf(line, sizeof(line),
	    "%.60s%swarning: %zu log line%s dropped: the log's reader did not "
	    "read\n",
	    out.program != NULL ? out.program : "",
	    out.program != NULL ? ": " : "", out.dropped,
	    out.dropped == 1 ? " was" : "s were");

	append(line, (size_t)n);
}

static void
push(void)
{
	write_waiting();
	if (!out.is_dropping || out.length > OUT_BYTES / 2)
		return;
	out.is_dropping = false;
	append_count();
	out.dropped = 0;
	write_waiting();
}

static void
drop(const char *lines, size_t length)
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
	static const struct timespec pause = { .tv_nsec = PAUSE_MS * 1000000 };

	pthread_mutex_unlock(&out_lock);
	nanosleep(&pause, NULL);
	pthread_mutex_lock(&out_lock);
}

static bool
has_room(size_t length)
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

void
log_out_name(const char *program)
{
	pthread_mutex_lock(&out_lock);
	out.program = program;
	pthread_mutex_unlock(&out_lock);
}

void
log_out_gather(void)
{
	pthread_mutex_lock(&out_lock);
	out.is_gathering = true;
	pthread_mutex_unlock(&out_lock);
}

/* With out_lock.  False: there is no room, and there may be later. */
static bool
put(const char *lines, size_t length)
{
	if (!has_room(length))
		push();
	if (has_room(length))
		append(lines, length);
	else if (!may_still_wait())
		drop(lines, length);
	else
		return false;
	if (!out.is_gathering || out.length >= GATHER_BYTES)
		push();
	if (out.length > 0 && !out.has_exit)
		out.has_exit = atexit(log_out_drain) == 0;
	return true;
}

void
log_out_put(const char *lines, size_t length)
{
	pthread_mutex_lock(&out_lock);
	while (!put(lines, length))
		pause_unlocked();
	pthread_mutex_unlock(&out_lock);
}

bool
log_out_try(const char *lines, size_t length)
{
	bool is_done;

	pthread_mutex_lock(&out_lock);
	is_done = put(lines, length);
	pthread_mutex_unlock(&out_lock);
	return is_done;
}

void
log_out_push(void)
{
	pthread_mutex_lock(&out_lock);
	push();
	pthread_mutex_unlock(&out_lock);
}

void
log_out_drain(void)
{
	int64_t until = clock_ms() + DRAIN_MS;

	pthread_mutex_lock(&out_lock);
	push();
	while (out.length > 0 && clock_ms() < until) {
		pause_unlocked();
		push();
	}
	pthread_mutex_unlock(&out_lock);
}
