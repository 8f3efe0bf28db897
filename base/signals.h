/* SPDX-License-Identifier: ISC */
/* Signals that come to an event loop, and threads that none comes to. */
#ifndef BASE_SIGNALS_H
#define BASE_SIGNALS_H

#include <pthread.h>

/*
 * Blocks these signals, of which the last is followed by 0, and gives a
 * descriptor (close-on-exec, non-blocking) that is readable when one has come;
 * or -1 with errno.
 */
int signals_open(int first, ...);

/* The next that has come, or 0. */
int signals_next(int fd);

/* Starts a thread that gets no signals: they are main's.  0 or -1 with errno.
 */
int thread_start(
    pthread_t *thread_out, void *(*run)(void *context), void *context);

#endif
