/* SPDX-License-Identifier: ISC */
/*
 * Where the message of one transaction goes: the intake of a queue that the
 * multiplexer chooses, or the program that QMAILQUEUE names.
 *
 * A sink_pool is made once a process and shared by its threads (it keeps idle
 * connections to the queues); a sink belongs to one thread.  Results are enum
 * qq; the text for a client is sink_text().
 *
 * Order: sink_open, sink_begin (when DATA is about to start), sink_write ...,
 * then sink_commit or sink_abort, each of which ends and frees the sink.
 * Of the queue collections that options and variables name, 64 may be in use
 * by sinks at once; those that no sink uses are dropped, oldest use first.
 * Nothing is queued unless sink_commit gave QQ_OK, and then it is durable.
 */
#ifndef QUEUE_SINK_H
#define QUEUE_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/vars.h"

struct sink;
struct sink_pool;

/* The queue collection by default; QUEUE* variables of a session override. */
struct sink_options {
	const char *queue_base;
	unsigned queue_count;
	unsigned queue_start;
	unsigned slice_ms;
	uint64_t min_free_bytes;
	int timeout_ms; /* for any answer of a queue */
	const char
	    *extra_recipient; /* of every message (extraqueue), or NULL */
	bool has_many; /* keep a next file at hand: for a server's many sinks */
};

struct sink_pool *sink_pool_new(const struct sink_options *options);
void sink_pool_free(struct sink_pool **pool);
/* New options for sinks opened from now on; any thread. */
void sink_pool_configure(
    struct sink_pool *pool, const struct sink_options *options);

/*
 * Chooses the queue by the session's variables (QMAILQUEUE, QUEUEDIR,
 * QUEUE_BASE, QUEUE_COUNT, QUEUE_START, MIN_FREE, NULLQUEUE, EXTRAQUEUE) and
 * asks it for a file, without waiting for the answer.  vars must stay until
 * the sink ends.  *sink_out is set unless the result is an error.
 */
int sink_open(
    struct sink_pool *pool, const struct vars *vars, struct sink **sink_out);

/* Waits for the file, trying other healthy queues if this one fails. */
int sink_begin(struct sink *sink);

/*
 * Adds to the message (LF line ends).  Buffered; an error (disk full) is kept
 * and is the result of every later call.
 */
int sink_write(struct sink *sink, const char *data, size_t length);

/* What the message looked like, for sink_commit. */
struct sink_envelope {
	const char *sender;            /* "" for the null sender */
	const char *const *recipients; /* recipient_count of them, at least 1 */
	size_t recipient_count;
	const char *extra_header; /* QQEH: lines that delivery puts in
				   * front, each ended by LF; or NULL
				   * for the variable QQEH's */
	unsigned long qp;         /* the number logged as "qp" */
};

/*
 * Makes the message durable.  Always frees the sink and sets *sink to NULL.
 * On another result than QQ_OK, text_out (of text_size bytes) has the text for
 * the client.
 */
int sink_commit(struct sink **sink, const struct sink_envelope *envelope,
    char *text_out, size_t text_size);

/* Forgets the message.  NULL inside is allowed. */
void sink_abort(struct sink **sink);

#endif
