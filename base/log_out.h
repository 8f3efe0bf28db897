/* SPDX-License-Identifier: ISC */
/*
 * Where base/log.c writes: descriptor 2, whose reader may be stopped, or have
 * a full disk.  Mail is not to wait for that: what the pipe does not take
 * waits in a buffer of the process.  Whoever finds the buffer full waits for
 * the reader, but all of them together no longer than two seconds until it is
 * empty again; then lines are dropped, and counted, until it is half empty,
 * and a line says how many:
 *
 *	warning: 17 log lines were dropped: the log's reader did not read
 *
 * Lines are written in their order, in pieces that a pipe takes whole, so that
 * those of processes which share it are not mixed.  Any thread; the lock is
 * held while writing, but not while waiting.  (Where the kernel cannot write
 * to a pipe without waiting, and another process fills it between our look
 * and our write, this one write waits.)
 */
#ifndef BASE_LOG_OUT_H
#define BASE_LOG_OUT_H

#include <stdbool.h>
#include <stddef.h>

enum { LOG_LINE_MAX = 4096 }; /* with its newline: PIPE_BUF */

/* Names the program in front of the line above; borrowed; or NULL. */
void log_out_name(const char *program);

/* From now on lines wait until many are there, or log_out_push(). */
void log_out_gather(void);

/* Whole lines, of at most half the buffer. */
void log_out_put(const char *lines, size_t length);

/* The same without waiting: false when it would have to, and nothing is done. */
bool log_out_try(const char *lines, size_t length);

/* Writes what the reader takes, without waiting. */
void log_out_push(void);

/* Waits up to a second until all is written.  exit() does that, too. */
void log_out_drain(void);

#endif
