/* SPDX-License-Identifier: ISC */
/*
 * An event loop over descriptors (epoll), for processes that serve many of
 * them from one thread.
 */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H

#include <stdint.h>

#include "base/error.h"

struct loop;

/* One descriptor of the loop.  The caller owns it and its descriptor. */
struct loop_source {
	int fd;
	/* events: EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR */
	void (*ready)(uint32_t events, void *context);
	void *context;
};

struct loop *loop_new(void);
void loop_free(struct loop **loop);

/* events as for epoll_ctl(2).  The source stays where it is until removed. */
int loop_add(struct loop *loop, struct loop_source *source, uint32_t events,
    struct error *err);
void loop_change(
    struct loop *loop, struct loop_source *source, uint32_t events);

/*
 * From now on the source is not called, not even for what is ready already;
 * before its descriptor is closed.
 */
void loop_remove(struct loop *loop, struct loop_source *source);

/* Waits (timeout_ms: -1 for ever) and calls those that are ready. */
void loop_wait(struct loop *loop, int timeout_ms);

#endif
