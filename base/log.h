/* SPDX-License-Identifier: ISC */
/*
 * Log lines to descriptor 2, which the service's multilog reads.
 *
 * Any thread may call these: a line is one write.  qmail-send, which logs a
 * handful of lines a message, gathers them instead (log_gather, before other
 * threads log) and writes them when its event loop says so (log_flush).  A
 * server's thread may gather the lines of its session in a log_batch, and a
 * busy server those of several sessions (log_pace).
 *
 * A reader that does not read stops nobody: a mebibyte of lines waits for it,
 * callers of log_line and log_batch_end for two seconds in all, then lines are
 * dropped and counted; the other calls do not wait.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

/*
 * Names the program in front of each line ("qmail-smtpd: "); NULL for lines
 * without a name (qmail-send's, which log tools parse).  The text is borrowed
 * for the life of the process.
 */
void log_open(const char *program);

/* Writes one line, in which log_clean() (base/log_text.h) leaves no controls.
 */
void log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* From now on lines wait for log_flush, or until there are many. */
void log_gather(void);
void log_flush(void);

/*
 * From now on lines that come within 50 ms of the last write wait until there
 * are 4 KiB, or for log_batches_tick: each write wakes up the log's reader.
 */
void log_pace(void);

/*
 * Gathers the lines of one thread, which come in their order with one write:
 * each write to a multilog that waits wakes it up.  The storage is the
 * caller's, from log_batch_begin to log_batch_end, both by that thread.
 * Lines that do not fit are not kept waiting.
 */
enum { LOG_BATCH_BYTES = 1024 };

struct log_batch {
	LIST_ENTRY(log_batch) link;
	pthread_mutex_t lock; /* for what follows */
	bool is_old;          /* log_batches_tick has seen what waits */
	size_t length;
	char text[LOG_BATCH_BYTES];
};

void log_batch_begin(struct log_batch *batch);
/* Writes what waits, as log_line does. */
void log_batch_end(struct log_batch *batch);

/*
 * Writes what has waited in any batch since the last call.  Called every
 * half second by one thread, no line waits longer than a second.
 */
void log_batches_tick(void);

/* Writes what waits in all batches. */
void log_batches_flush(void);

/*
 * Writes all that waits, for a second at most: before _exit().  exit() does so
 * itself, but for batches that have not ended.
 */
void log_finish(void);

/*
 * Logs "fatal: " and the reason behind all that waits, and exits with code (100
 * permanent, 111 temporary: an operator's mistake and a passing trouble).  For
 * main.c and for memory exhaustion only.
 */
void fatal(int code, const char *format, ...)
    __attribute__((noreturn, format(printf, 2, 3)));

#endif
