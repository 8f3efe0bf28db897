/* SPDX-License-Identifier: ISC */
/*
 * Log lines to descriptor 2, which the service's multilog reads.
 *
 * Any thread may call these: a line is one write.  qmail-send, which logs a
 * handful of lines a message, gathers them instead (log_gather, before other
 * threads log) and writes them when its event loop says so (log_flush).
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

/*
 * Names the program in front of each line ("qmail-smtpd: "); NULL for lines
 * without a name (qmail-send's, which log tools parse).  The text is borrowed
 * for the life of the process.
 */
void log_open(const char *program);

/* Writes one line; control characters and newlines in it become '?'. */
void log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* From now on lines wait for log_flush, or for a full buffer. */
void log_gather(void);
void log_flush(void);

/*
 * Logs "fatal: " and the reason, flushes, and exits with code (100 permanent,
 * 111 temporary: an operator's mistake and a passing trouble).  For main.c and
 * for memory exhaustion only.
 */
void fatal(int code, const char *format, ...)
    __attribute__((noreturn, format(printf, 2, 3)));

#endif
