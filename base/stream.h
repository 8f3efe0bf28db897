/* SPDX-License-Identifier: ISC */
/*
 * Buffered I/O of one connection: plain or TLS, blocking, with deadlines.
 *
 * A stream is used by one thread.  Its buffers are made when the first byte
 * comes and go away again with stream_rest(), so an idle connection is cheap.
 * A read that finds nothing buffered flushes the output before it asks the
 * peer, so a reply is never held back while its client waits for it.
 * Invariant: bytes read before stream_start_tls() are never seen after it.
 */
#ifndef BASE_STREAM_H
#define BASE_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/tls.h"

enum stream_result {
	STREAM_OK,
	STREAM_CLOSED,  /* the peer ended the connection (in a line or not) */
	STREAM_TIMEOUT, /* the deadline passed */
	STREAM_FAILED,  /* anything else */
	STREAM_TOO_LONG /* stream_read_line: no line end within the limit */
};

struct stream;

/*
 * Takes neither descriptor: the caller closes them after stream_free().  They
 * may be the same, sockets or pipes.  What is no socket is non-blocking until
 * stream_free(), and a program that writes to a pipe ignores SIGPIPE.
 */
struct stream *stream_new(int read_fd, int write_fd);

/* Ends TLS properly if that needs no waiting; does not flush. */
void stream_free(struct stream **stream);

/*
 * How long (over 0; at first 300 s, RFC 5321 4.5.3.2.7) the peer may take for
 * what one call asks of it: a whole line, some bytes, taking the output.
 */
void stream_set_timeout(struct stream *stream, int timeout_ms);

/*
 * Whatever the timeout, nothing waits past this time of clock_ms(): so a peer
 * that gives a byte now and then comes to an end.  0: no such time.
 */
void stream_set_limit(struct stream *stream, int64_t limit_ms);

/*
 * The next line, through its LF, of at most max bytes.  *line_out points into
 * the stream and is valid until the next read on it (stream_write and
 * stream_flush leave it alone); *length_out counts the LF.  On STREAM_TOO_LONG
 * the bytes so far are dropped, and the rest of the line is dropped by the next
 * calls (it never looks like a line of its own).
 */
enum stream_result stream_read_line(struct stream *stream, size_t max,
    const char **line_out, size_t *length_out);

/*
 * Gives the buffered input, after a refill if there is none: *data_out,
 * *length_out (at least 1), valid until the next call.  stream_consume() takes
 * bytes off.
 */
enum stream_result stream_peek(
    struct stream *stream, const char **data_out, size_t *length_out);
void stream_consume(struct stream *stream, size_t length);

/* True when input is buffered: replies may wait for more (pipelining). */
bool stream_has_input(const struct stream *stream);

/* Buffers output; errors are kept and are the result of every later flush. */
void stream_write(struct stream *stream, const char *data, size_t length);
enum stream_result stream_flush(struct stream *stream);

/*
 * Flushes, and tells the peer that nothing more comes; it can be read still.
 * Nothing may be written any more.
 */
enum stream_result stream_end_output(struct stream *stream);

/*
 * After a failed write: what is not sent is dropped, so that what the peer said
 * before it went can be read still.
 */
void stream_drop_output(struct stream *stream);

/*
 * Gives back the buffers that are empty.  For idle sessions: a stream that has
 * rested pays with a copy or a system call at its next read.
 */
void stream_rest(struct stream *stream);

/*
 * Flushes, drops all buffered input (RFC 3207 4.2) and performs the context's
 * side of the handshake within timeout_ms; at most once.  context is borrowed
 * until stream_free().  After a failure only stream_free() is left: whatever
 * else is called fails and writes nothing.
 */
enum stream_result stream_start_tls(struct stream *stream,
    struct tls_context *context, int timeout_ms, struct error *err);

/* A client's side of it, with the peer that is wanted. */
enum stream_result stream_start_tls_with(struct stream *stream,
    struct tls_context *context, const struct tls_peer *peer, int timeout_ms,
    struct error *err);
/* Of the handshake; both are NONE without one. */
enum tls_failure stream_tls_failure(const struct stream *stream);
enum tls_proof stream_tls_proof(const struct stream *stream);
enum tls_resumption stream_tls_resumption(const struct stream *stream);

/* The pin of the peer's certificate; false: it has shown none. */
bool stream_tls_peer_pin(
    const struct stream *stream, char pin_out[CERTIFICATE_PIN_SIZE]);

/* "TLSv1.3", "TLS_AES_256_GCM_SHA384", 256; NULL and 0 without TLS. */
const char *stream_tls_version(const struct stream *stream);
const char *stream_tls_cipher(const struct stream *stream);
int stream_tls_bits(const struct stream *stream);
/*
 * What this TLS connection alone has, on both sides (RFC 9266); false without
 * TLS 1.3, below which not every connection has such a thing.
 */
bool stream_tls_binding(const struct stream *stream,
    unsigned char binding_out[TLS_BINDING_SIZE]);

#endif
