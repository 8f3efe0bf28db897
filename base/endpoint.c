/* SPDX-License-Identifier: ISC */
/* Reads and writes of one connection, with a deadline. */
#include "base/endpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/clock.h"

void
endpoint_init(struct endpoint *endpoint, int read_fd, int write_fd)
{
	*endpoint = (struct endpoint){ .read_fd = read_fd,
		.write_fd = write_fd };
}

/* True when this call has changed the descriptor. */
static bool
set_nonblocking(int fd, bool is_wanted)
{
	int flags = fcntl(fd, F_GETFL);

	return flags != -1 && is_wanted != ((flags & O_NONBLOCK) != 0) &&
	    fcntl(fd, F_SETFL, flags ^ O_NONBLOCK) == 0;
}

void
endpoint_release(struct endpoint *endpoint)
{
	if (endpoint->is_read_changed)
		set_nonblocking(endpoint->read_fd, false);
	if (endpoint->is_write_changed)
		set_nonblocking(endpoint->write_fd, false);
	endpoint->is_read_changed = endpoint->is_write_changed = false;
}

void
endpoint_begin(struct endpoint *endpoint, int timeout_ms)
{
	int64_t now_ms = clock_ms();

	if (endpoint->limit_ms != 0 && endpoint->limit_ms - now_ms < timeout_ms)
		timeout_ms = endpoint->limit_ms > now_ms
		    ? (int)(endpoint->limit_ms - now_ms)
		    : 0;
	endpoint->timeout_ms = timeout_ms;
	endpoint->deadline_ms = now_ms + timeout_ms;
	endpoint->may_block = timeout_ms > 0;
}

static enum stream_result
result_of_errno(void)
{
	return errno == ECONNRESET || errno == EPIPE ? STREAM_CLOSED
						     : STREAM_FAILED;
}

/* Waits for an event until the deadline. */
static enum stream_result
wait_for(struct endpoint *endpoint, int fd, short events)
{
	int result = clock_wait_fd(fd, events, endpoint->deadline_ms);

	endpoint->may_block = false;
	return result == 1 ? STREAM_OK
	    : result == 0  ? STREAM_TIMEOUT
			   : STREAM_FAILED;
}

enum stream_result
endpoint_wait(struct endpoint *endpoint)
{
	return wait_for(endpoint, endpoint->read_fd, POLLIN);
}

/* Gives the kernel the timeout of reads; tells what the descriptor is. */
static void
prepare_read(struct endpoint *endpoint)
{
	struct timeval tv = { .tv_sec = endpoint->timeout_ms / 1000,
		.tv_usec = endpoint->timeout_ms % 1000 * 1000 };

	if (endpoint->read_kind == ENDPOINT_OTHER)
		return;
	if (endpoint->read_kind == ENDPOINT_SOCKET &&
	    (!endpoint->may_block ||
		endpoint->socket_timeout_ms == endpoint->timeout_ms))
		return;
	if (setsockopt(endpoint->read_fd, SOL_SOCKET, SO_RCVTIMEO, &tv,
		sizeof(tv)) == 0) {
		endpoint->read_kind = ENDPOINT_SOCKET;
		endpoint->socket_timeout_ms = endpoint->timeout_ms;
		return;
	}
	endpoint->read_kind = ENDPOINT_OTHER;
	endpoint->is_read_changed = set_nonblocking(endpoint->read_fd, true);
}

static ssize_t
read_once(struct endpoint *endpoint, char *data, size_t size)
{
	int flags = endpoint->may_block ? 0 : MSG_DONTWAIT;

	/* Whatever comes of this call, a part of the timeout may be gone. */
	endpoint->may_block = false;
	if (endpoint->read_kind == ENDPOINT_SOCKET)
		return recv(endpoint->read_fd, data, size, flags);
	return read(endpoint->read_fd, data, size);
}

enum stream_result
endpoint_read(
    struct endpoint *endpoint, char *data, size_t size, size_t *length_out)
{
	enum stream_result result = STREAM_OK;

	*length_out = 0;
	/* A peer that always has one more byte passes the deadline too. */
	if (!endpoint->may_block && clock_ms() >= endpoint->deadline_ms)
		return STREAM_TIMEOUT;
	prepare_read(endpoint);
	while (result == STREAM_OK) {
		ssize_t n = read_once(endpoint, data, size);

		if (n > 0) {
			*length_out = (size_t)n;
			return STREAM_OK;
		}
		if (n == 0)
			return STREAM_CLOSED;
		if (errno == EAGAIN || errno == EWOULDBLOCK)
			result = endpoint_wait(endpoint);
		else if (errno != EINTR)
			result = result_of_errno();
	}
	return result;
}

static ssize_t
write_once(struct endpoint *endpoint, const char *data, size_t length)
{
	ssize_t n;

	if (endpoint->write_kind == ENDPOINT_OTHER)
		return write(endpoint->write_fd, data, length);
	n = send(endpoint->write_fd, data, length, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n >= 0 || errno != ENOTSOCK)
		return n;
	endpoint->write_kind = ENDPOINT_OTHER;
	endpoint->is_write_changed = set_nonblocking(endpoint->write_fd, true);
	return write(endpoint->write_fd, data, length);
}

enum stream_result
endpoint_write(struct endpoint *endpoint, const char *data, size_t length)
{
	enum stream_result result = STREAM_OK;

	while (length > 0 && result == STREAM_OK) {
		ssize_t n = write_once(endpoint, data, length);

		if (n >= 0) {
			data += n;
			length -= (size_t)n;
		} else if (errno == EAGAIN || errno == EWOULDBLOCK)
			result = wait_for(
			    endpoint, endpoint->write_fd, POLLOUT);
		else if (errno != EINTR)
			result = result_of_errno();
	}
	return result;
}
