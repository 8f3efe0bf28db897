/* SPDX-License-Identifier: ISC */
/* Does a listener greet who connects? */
#include "svctool/run/greet.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/stream.h"

enum { LINE_MAX_BYTES = 1024 };

static int
connect_to(const struct port_address *address, int wait_ms, struct error *err)
{
	const struct timeval wait = { .tv_sec = wait_ms / 1000,
		.tv_usec = wait_ms % 1000 * 1000 };
	struct sockaddr_storage where;
	socklen_t length = port_connect_address(address, &where);
	int fd = socket(where.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd == -1)
		return error_sys(err, "cannot make a socket");
	/* A connection that waits in a full backlog ends with EINPROGRESS. */
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)) == 0 &&
	    connect(fd, (struct sockaddr *)&where, length) == 0)
		return fd;
	error_sys(
	    err, "cannot connect to %s port %u", address->ip, address->port);
	close(fd);
	return -1;
}

/* A line that begins with a reply code of SMTP, or a status of POP3. */
static bool
is_reply(const char *line, size_t length)
{
	return (length > 3 && strncmp(line, "+OK", 3) == 0) ||
	    (length > 4 && strncmp(line, "-ERR", 4) == 0) ||
	    (length > 3 && isdigit((unsigned char)line[0]) &&
		isdigit((unsigned char)line[1]) &&
		isdigit((unsigned char)line[2]));
}

static int
say_silent(
    const struct port_address *address, const char *what, struct error *err)
{
	error_set(err, "it listens on %s port %u, and %s", address->ip,
	    address->port, what);
	return 0;
}

/* What came, or did not. */
static int
judge_greeting(const struct port_address *address, enum stream_result result,
    bool has_tls_first, struct error *err)
{
	switch (result) {
	case STREAM_OK:
		return say_silent(address, "what it says is no greeting", err);
	case STREAM_CLOSED:
	case STREAM_FAILED:
		/*
		 * Whom it refuses it tells nothing in the clear; and one that
		 * was started without TLS answers too, if not with that.
		 */
		if (has_tls_first)
			return 1;
		return say_silent(
		    address, "it closes connections without a greeting", err);
	case STREAM_TIMEOUT:
	case STREAM_TOO_LONG:
		break;
	}
	return say_silent(address, "greets nobody in time", err);
}

static int
talk(struct stream *stream, const struct port_address *address,
    struct tls_context *tls, int wait_ms, struct error *err)
{
	enum stream_result result = STREAM_OK;
	const char *line;
	size_t length;

	if (tls != NULL)
		result = stream_start_tls(stream, tls, wait_ms, NULL);
	if (result == STREAM_OK)
		result = stream_read_line(
		    stream, LINE_MAX_BYTES, &line, &length);
	if (result != STREAM_OK || !is_reply(line, length))
		return judge_greeting(address, result, tls != NULL, err);
	stream_write(stream, "QUIT\r\n", 6);
	stream_flush(stream);
	return 1;
}

int
greet_look(const struct port_address *address, bool has_tls_first, int wait_ms,
    struct error *err)
{
	struct tls_context *tls = NULL;
	AUTO(stream_free) struct stream *stream = NULL;
	int fd, result;

	if (has_tls_first && (tls = tls_client_context_new(err)) == NULL)
		return -1;
	fd = connect_to(address, wait_ms, err);
	if (fd == -1)
		result = errno == EINPROGRESS || errno == ECONNREFUSED ? 0 : -1;
	else {
		stream = stream_new(fd, fd);
		stream_set_timeout(stream, wait_ms);
		result = talk(stream, address, tls, wait_ms, err);
		close(fd);
	}
	tls_context_free(&tls);
	return result;
}
