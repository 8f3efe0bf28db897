/* SPDX-License-Identifier: ISC */
/* Buffered I/O of one connection. */
#include "base/stream.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/endpoint.h"
#include "base/mem.h"
#include "base/tls_session.h"

/*
 * A buffer starts small, holding a session's commands or a small message, and
 * grows when a read has filled it: then more is on its way.
 */
enum {
	IN_FIRST = 8192,
	IN_MAX = 65536, /* unless a longer line is asked for */
	IN_GROWTH = 4,
	OUT_FIRST = 2048,
	OUT_MAX = 16384, /* one TLS record */
	TASTE_BYTES = 2048,
	DEFAULT_TIMEOUT_MS = 300 * 1000
};

struct stream {
	struct endpoint endpoint;
	int timeout_ms;
	/* input: the bytes from in_start to in_end wait to be taken */
	char *in;
	size_t in_size, in_start, in_end;
	bool was_filled;  /* the last read took all the room there was */
	bool is_skipping; /* the rest of a line that was too long */
	/* output */
	char *out;
	size_t out_size, out_length;
	enum stream_result write_result; /* once not STREAM_OK, for ever */
	struct tls_session *tls;         /* NULL: plain */
};

struct stream *
stream_new(int read_fd, int write_fd)
{
	struct stream *stream = xcalloc(1, sizeof(*stream));

	endpoint_init(&stream->endpoint, read_fd, write_fd);
	stream->timeout_ms = DEFAULT_TIMEOUT_MS;
	return stream;
}

void
stream_free(struct stream **stream_in)
{
	struct stream *stream = *stream_in;

	if (stream == NULL)
		return;
	if (stream->tls != NULL && stream->write_result == STREAM_OK) {
		endpoint_begin(&stream->endpoint, 0);
		tls_session_close(stream->tls);
	}
	tls_session_free(&stream->tls);
	endpoint_release(&stream->endpoint);
	free(stream->in);
	free(stream->out);
	free(stream);
	*stream_in = NULL;
}

void
stream_set_timeout(struct stream *stream, int timeout_ms)
{
	assert(timeout_ms > 0);
	stream->timeout_ms = timeout_ms;
}

void
stream_set_limit(struct stream *stream, int64_t limit_ms)
{
	stream->endpoint.limit_ms = limit_ms;
}

/* Why TLS failed: the endpoint's trouble, or a breach of the protocol. */
static enum stream_result
tls_failure(const struct stream *stream)
{
	enum stream_result result = tls_session_result(stream->tls);

	return result != STREAM_OK ? result : STREAM_FAILED;
}

static enum stream_result
read_stream(struct stream *stream, char *data, size_t size, size_t *length_out)
{
	ssize_t n;

	if (stream->tls == NULL)
		return endpoint_read(&stream->endpoint, data, size, length_out);
	*length_out = 0;
	n = tls_session_read(stream->tls, data, size);
	if (n == 0)
		return STREAM_CLOSED;
	if (n < 0)
		return tls_failure(stream);
	*length_out = (size_t)n;
	return STREAM_OK;
}

/* Sends now; the deadline has begun. */
static void
write_now(struct stream *stream, const char *data, size_t length)
{
	if (stream->write_result != STREAM_OK || length == 0)
		return;
	if (stream->tls == NULL)
		stream->write_result = endpoint_write(
		    &stream->endpoint, data, length);
	else if (tls_session_write(stream->tls, data, length) == -1)
		stream->write_result = tls_failure(stream);
}

static void
write_buffered(struct stream *stream)
{
	if (stream->out_length == 0)
		return;
	endpoint_begin(&stream->endpoint, stream->timeout_ms);
	write_now(stream, stream->out, stream->out_length);
	stream->out_length = 0;
}

/*
 * The first read into a stream without buffers.  As an idle session waits
 * here, a plain one waits with nothing but its stack, and a TLS one before it
 * enters OpenSSL, which would take a buffer of its own.
 */
static enum stream_result
read_rested(struct stream *stream)
{
	char taste[TASTE_BYTES];
	enum stream_result result;
	size_t length;

	if (stream->tls != NULL && !tls_session_has_pending(stream->tls)) {
		result = endpoint_wait(&stream->endpoint);
		if (result != STREAM_OK)
			return result;
	}
	result = read_stream(stream, taste, sizeof(taste), &length);
	if (result != STREAM_OK)
		return result;
	stream->in = xmalloc(IN_FIRST);
	stream->in_size = IN_FIRST;
	memcpy(stream->in, taste, length);
	stream->in_start = 0;
	stream->in_end = length;
	stream->was_filled = false; /* there is room still */
	return STREAM_OK;
}

/* Leaves room behind in_end, with all bytes that wait at the front. */
static void
make_input_room(struct stream *stream)
{
	size_t waiting = stream->in_end - stream->in_start;
	size_t size = stream->in_size;

	if (waiting > 0 && stream->in_start > 0)
		memmove(stream->in, stream->in + stream->in_start, waiting);
	stream->in_start = 0;
	stream->in_end = waiting;
	if (stream->was_filled && size < IN_MAX) {
		size *= IN_GROWTH;
		if (size > IN_MAX)
			size = IN_MAX;
	} else if (waiting == size)
		size *= 2;
	if (size == stream->in_size)
		return;
	if (waiting == 0) {
		/* nothing to copy, so not realloc */
		free(stream->in);
		stream->in = xmalloc(size);
	} else
		stream->in = xrealloc(stream->in, size);
	stream->in_size = size;
}

/*
 * Reads more behind what waits.  is_first: the first time in this call of a
 * public function, whose deadline begins here.
 */
static enum stream_result
refill(struct stream *stream, bool is_first)
{
	enum stream_result result;
	size_t length, room;

	if (is_first) {
		result = stream_flush(stream);
		if (result != STREAM_OK)
			return result;
		endpoint_begin(&stream->endpoint, stream->timeout_ms);
	}
	if (stream->in == NULL)
		return read_rested(stream);
	make_input_room(stream);
	room = stream->in_size - stream->in_end;
	result = read_stream(
	    stream, stream->in + stream->in_end, room, &length);
	stream->in_end += length;
	stream->was_filled = length == room;
	return result;
}

/* Drops what waits of a line that was too long. */
static void
skip_line(struct stream *stream)
{
	size_t waiting = stream->in_end - stream->in_start;
	const char *from, *end;

	if (!stream->is_skipping || waiting == 0)
		return;
	from = stream->in + stream->in_start;
	end = memchr(from, '\n', waiting);
	stream->in_start += end == NULL ? waiting : (size_t)(end - from) + 1;
	stream->is_skipping = end == NULL;
}

enum stream_result
stream_read_line(struct stream *stream, size_t max, const char **line_out,
    size_t *length_out)
{
	bool is_first = true;
	size_t searched = 0;

	assert(max > 0);
	*line_out = NULL;
	*length_out = 0;
	for (;;) {
		size_t waiting = stream->in_end - stream->in_start;
		size_t wanted = waiting < max ? waiting : max;
		enum stream_result result;

		if (wanted > searched) {
			const char *from = stream->in + stream->in_start;
			const char *end;

			end = memchr(from + searched, '\n', wanted - searched);
			if (end != NULL) {
				*line_out = from;
				*length_out = (size_t)(end - from) + 1;
				stream->in_start += *length_out;
				return STREAM_OK;
			}
			searched = wanted;
		}
		if (waiting >= max) {
			stream->is_skipping = true;
			skip_line(stream);
			return STREAM_TOO_LONG;
		}
		do {
			result = refill(stream, is_first);
			if (result != STREAM_OK)
				return result;
			is_first = false;
			skip_line(stream);
		} while (stream->in_start == stream->in_end);
	}
}

enum stream_result
stream_peek(struct stream *stream, const char **data_out, size_t *length_out)
{
	bool is_first = true;

	*data_out = NULL;
	*length_out = 0;
	while (stream->in_start == stream->in_end) {
		enum stream_result result = refill(stream, is_first);

		if (result != STREAM_OK)
			return result;
		is_first = false;
		skip_line(stream);
	}
	*data_out = stream->in + stream->in_start;
	*length_out = stream->in_end - stream->in_start;
	return STREAM_OK;
}

void
stream_consume(struct stream *stream, size_t length)
{
	assert(length <= stream->in_end - stream->in_start);
	stream->in_start += length;
}

bool
stream_has_input(const struct stream *stream)
{
	return stream->in_start < stream->in_end;
}

/* Room for some of length bytes, at best for all, behind out_length. */
static void
grow_output(struct stream *stream, size_t length)
{
	size_t wanted = stream->out_length + length;
	size_t size = wanted <= OUT_FIRST ? OUT_FIRST : OUT_MAX;

	if (wanted <= stream->out_size || stream->out_size == OUT_MAX)
		return;
	stream->out = xrealloc(stream->out, size);
	stream->out_size = size;
}

void
stream_write(struct stream *stream, const char *data, size_t length)
{
	while (length > 0 && stream->write_result == STREAM_OK) {
		size_t room;

		if (stream->out_length == 0 && length >= OUT_MAX) {
			endpoint_begin(&stream->endpoint, stream->timeout_ms);
			write_now(stream, data, length);
			return;
		}
		grow_output(stream, length < OUT_MAX ? length : OUT_MAX);
		room = stream->out_size - stream->out_length;
		if (room > length)
			room = length;
		memcpy(stream->out + stream->out_length, data, room);
		stream->out_length += room;
		data += room;
		length -= room;
		if (stream->out_length == OUT_MAX)
			write_buffered(stream);
	}
}

enum stream_result
stream_flush(struct stream *stream)
{
	write_buffered(stream);
	return stream->write_result;
}

enum stream_result
stream_end_output(struct stream *stream)
{
	enum stream_result result = stream_flush(stream);

	if (result != STREAM_OK)
		return result;
	if (stream->tls != NULL) {
		endpoint_begin(&stream->endpoint, stream->timeout_ms);
		tls_session_close(stream->tls);
	}
	shutdown(stream->endpoint.write_fd, SHUT_WR);
	return STREAM_OK;
}

void
stream_drop_output(struct stream *stream)
{
	stream->out_length = 0;
	stream->write_result = STREAM_OK;
}

void
stream_rest(struct stream *stream)
{
	if (stream->in_start == stream->in_end) {
		free(stream->in);
		stream->in = NULL;
		stream->in_size = stream->in_start = stream->in_end = 0;
		stream->was_filled = false;
	}
	if (stream->out_length == 0) {
		free(stream->out);
		stream->out = NULL;
		stream->out_size = 0;
	}
}

/* The result and text of a handshake that did not come to its end. */
static enum stream_result
handshake_failure(struct stream *stream, int timeout_ms, struct error *err)
{
	enum stream_result result = tls_failure(stream);

	if (result == STREAM_TIMEOUT)
		error_set(err, "TLS handshake failed: not done within %d ms",
		    timeout_ms);
	else if (result == STREAM_CLOSED)
		error_set(err,
		    "TLS handshake failed: the peer closed the connection");
	else if (tls_session_result(stream->tls) != STREAM_OK)
		error_set(err, "TLS handshake failed: cannot read or write");
	return result;
}

enum stream_result
stream_start_tls(struct stream *stream, struct tls_context *context,
    int timeout_ms, struct error *err)
{
	return stream_start_tls_with(stream, context, NULL, timeout_ms, err);
}

enum stream_result
stream_start_tls_with(struct stream *stream, struct tls_context *context,
    const struct tls_peer *peer, int timeout_ms, struct error *err)
{
	enum stream_result result = stream_flush(stream);

	assert(stream->tls == NULL);
	if (result != STREAM_OK) {
		error_set(err, "cannot write to the peer before TLS");
		return result;
	}
	/* RFC 3207 4.2: what came in plain must not count as protected */
	stream->in_start = stream->in_end = 0;
	stream->is_skipping = false;
	stream_rest(stream);

	stream->write_result = STREAM_FAILED; /* until the handshake is done */
	stream->tls = tls_session_new(context, &stream->endpoint, peer, err);
	if (stream->tls == NULL)
		return STREAM_FAILED;
	endpoint_begin(&stream->endpoint, timeout_ms);
	stream->endpoint.may_block = false; /* this timeout is used once only */
	if (tls_session_handshake(stream->tls, err) == -1)
		return handshake_failure(stream, timeout_ms, err);
	stream->write_result = STREAM_OK;
	return STREAM_OK;
}

enum tls_failure
stream_tls_failure(const struct stream *stream)
{
	return stream->tls == NULL ? TLS_FAILURE_NONE
				   : tls_session_failure(stream->tls);
}

enum tls_proof
stream_tls_proof(const struct stream *stream)
{
	return stream->tls == NULL ? TLS_PROOF_NONE
				   : tls_session_proof(stream->tls);
}

enum tls_resumption
stream_tls_resumption(const struct stream *stream)
{
	return stream->tls == NULL ? TLS_RESUMPTION_NONE
				   : tls_session_resumption(stream->tls);
}

bool
stream_tls_peer_pin(
    const struct stream *stream, char pin_out[CERTIFICATE_PIN_SIZE])
{
	return stream->tls != NULL && tls_session_peer_pin(stream->tls, pin_out);
}

const char *
stream_tls_version(const struct stream *stream)
{
	return stream->tls == NULL ? NULL : tls_session_version(stream->tls);
}

const char *
stream_tls_cipher(const struct stream *stream)
{
	return stream->tls == NULL ? NULL : tls_session_cipher(stream->tls);
}

int
stream_tls_bits(const struct stream *stream)
{
	return stream->tls == NULL ? 0 : tls_session_bits(stream->tls);
}

bool
stream_tls_binding(const struct stream *stream,
    unsigned char binding_out[TLS_BINDING_SIZE])
{
	return stream->tls != NULL &&
	    tls_session_binding(stream->tls, binding_out);
}
