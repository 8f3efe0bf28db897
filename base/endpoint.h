/* SPDX-License-Identifier: ISC */
/*
 * Reads and writes of one connection, with a deadline; base/stream.c is built
 * on it, and nobody else includes it.
 *
 * Sockets stay blocking, with the timeout given to the kernel, because then a
 * read that waits is one system call; what is no socket is made non-blocking
 * and polled, and made blocking again by endpoint_release().
 */
#ifndef BASE_ENDPOINT_H
#define BASE_ENDPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/stream.h"

enum endpoint_kind { ENDPOINT_UNKNOWN, ENDPOINT_SOCKET, ENDPOINT_OTHER };

struct endpoint {
	int read_fd, write_fd;
	enum endpoint_kind read_kind, write_kind;
	bool is_read_changed, is_write_changed; /* made non-blocking by us */
	int socket_timeout_ms; /* what the kernel knows; 0: nothing yet */
	/* the deadline of what goes on */
	int timeout_ms;
	int64_t deadline_ms;
	int64_t limit_ms; /* no deadline is later; 0: none */
	bool may_block;   /* the whole timeout is left */
};

void endpoint_init(struct endpoint *endpoint, int read_fd, int write_fd);
void endpoint_release(struct endpoint *endpoint);

/*
 * Everything until the next call of this must be over in timeout_ms (0: what
 * is possible without waiting).
 */
void endpoint_begin(struct endpoint *endpoint, int timeout_ms);

/* Waits until there is something to read. */
enum stream_result endpoint_wait(struct endpoint *endpoint);

/* Reads some bytes: at least 1 when the result is STREAM_OK. */
enum stream_result endpoint_read(
    struct endpoint *endpoint, char *data, size_t size, size_t *length_out);

/* Writes all bytes. */
enum stream_result endpoint_write(
    struct endpoint *endpoint, const char *data, size_t length);

#endif
