/* SPDX-License-Identifier: ISC */
/* An event loop over descriptors. */
#include "base/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"

enum { EVENTS_MAX = 256 };

struct loop {
	int epoll_fd;
	int ready_count, ready_at; /* of what is being called */
	struct epoll_event ready[EVENTS_MAX];
};

struct loop *
loop_new(void)
{
	struct loop *loop = xcalloc(1, sizeof(*loop));

	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd == -1)
		fatal(111, "cannot make an event loop");
	return loop;
}

void
loop_free(struct loop **loop)
{
	if (*loop == NULL)
		return;
	close((*loop)->epoll_fd);
	free(*loop);
	*loop = NULL;
}

int
loop_add(struct loop *loop, struct loop_source *source, uint32_t events,
    struct error *err)
{
	struct epoll_event event = { .events = events, .data.ptr = source };

	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, source->fd, &event) == -1)
		return error_sys(err, "cannot watch descriptor %d", source->fd);
	return 0;
}

void
loop_change(struct loop *loop, struct loop_source *source, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = source };

	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, source->fd, &event) == -1)
		fatal(111, "cannot change the watch of descriptor %d",
		    source->fd);
}

void
loop_remove(struct loop *loop, struct loop_source *source)
{
	int i;

	epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
	for (i = loop->ready_at; i < loop->ready_count; i++)
		if (loop->ready[i].data.ptr == source)
			loop->ready[i].data.ptr = NULL;
}

void
loop_wait(struct loop *loop, int timeout_ms)
{
	int count = epoll_wait(
	    loop->epoll_fd, loop->ready, EVENTS_MAX, timeout_ms);

	if (count == -1 && errno != EINTR)
		fatal(111, "cannot wait for events");
	loop->ready_count = count > 0 ? count : 0;
	for (loop->ready_at = 0; loop->ready_at < loop->ready_count;) {
		struct epoll_event *event = &loop->ready[loop->ready_at++];
		struct loop_source *source = event->data.ptr;

		if (source != NULL)
			source->ready(event->events, source->context);
	}
	loop->ready_count = 0;
}
