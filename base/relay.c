/* SPDX-License-Identifier: ISC */
/* Hands a connection on to a program. */
#include "base/relay.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

enum {
	RELAY_END_MS = 10 * 1000, /* for the program, when all is said */
	RELAY_BYTES = 16 * 1024
};

/* What the program has said, to the peer.  False: it says no more. */
static bool
pass_down(struct stream *stream, int fd)
{
	char data[RELAY_BYTES];
	ssize_t n = read(fd, data, sizeof(data));

	if (n == -1 && errno == EINTR)
		return true;
	if (n <= 0)
		return false;
	stream_write(stream, data, (size_t)n);
	return stream_flush(stream) == STREAM_OK;
}

/* What the peer has said, as much as the program takes without waiting. */
static bool
pass_up(struct stream *stream, int fd)
{
	const char *data;
	size_t length;
	ssize_t n;

	if (stream_peek(stream, &data, &length) != STREAM_OK)
		return false;
	n = send(fd, data, length, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n > 0)
		stream_consume(stream, (size_t)n);
	return n > 0 || errno == EAGAIN || errno == EINTR;
}

void
relay_run(struct stream *stream, int stream_fd, int fd, int idle_ms)
{
	for (;;) {
		bool has_input = stream_has_input(stream);
		struct pollfd polled[2] = {
			{ .fd = fd,
			    .events = POLLIN | (has_input ? POLLOUT : 0) },
			{ .fd = has_input ? -1 : stream_fd, .events = POLLIN },
		};
		int n = poll(polled, 2, idle_ms);

		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		if ((polled[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0 &&
		    !pass_down(stream, fd))
			return;
		if (((polled[0].revents & POLLOUT) != 0 ||
			polled[1].revents != 0) &&
		    !pass_up(stream, fd)) {
			/* Nothing more comes: what is said to that goes out. */
			shutdown(fd, SHUT_WR);
			while (clock_wait_fd(fd, POLLIN,
				   clock_ms() + RELAY_END_MS) == 1 &&
			    pass_down(stream, fd))
				continue;
			return;
		}
	}
}
