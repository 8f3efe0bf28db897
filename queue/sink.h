/* SPDX-License-Identifier: ISC */
/*
 * Where the message of one transaction goes: the intake of a queue that the
 * multiplexer chooses, or the program that QMAILQUEUE names.
 *
 * A sink_pool is made once a process and shared by its threads (it keeps idle
 * connections to the queues); a sink belongs to one thread.  Results are enum
 * qq.
 *
 * Order: sink_open, sink_write ..., then sink_commit or sink_abort, each of
 * which ends and frees the sink.
 * Of the queue collections that options and variables name, 64 may be in use
 * by sinks at once; those that no sink uses are dropped, oldest use first.
 * Nothing is queued unless sink_commit gave QQ_OK, and then it is durable.
 *
 * A queue that ends meanwhile is no failure: a body of up to SINK_HELD_MAX
 * bytes is kept until the answer, and sent again to the same queue or another
 * one. When it ends after it was asked to commit, it is first asked again
 * whether it did (docs/protocol.md, Intake).
 */
#ifndef QUEUE_SINK_H
#define QUEUE_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/uuid.h"
#include "base/vars.h"

struct sink;
struct sink_pool;

enum { SINK_HELD_MAX = 128 * 1024 };

/* The queue collection by default; QUEUE* variables of a session override. */
struct sink_options {
	const char *queue_base;
	unsigned queue_count;
	unsigned queue_start;
	unsigned slice_ms;
	uint64_t min_free_bytes;
	int timeout_ms;   /* for any answer of a queue */
	int open_wait_ms; /* sink_open: for queues that are all down; 0: not */
	const char *extra_recipient; /* of every message (extraqueue), or
				      * NULL */
	bool is_smtpd;               /* our user is qmaild, whom queues trust */
};

struct sink_pool *sink_pool_new(const struct sink_options *options);
void sink_pool_free(struct sink_pool **pool);
/* New options for sinks opened from now on; any thread. */
void sink_pool_configure(
    struct sink_pool *pool, const struct sink_options *options);

/* What the variables choose, over the options; texts are borrowed. */
struct sink_choice {
	const char *queue_dir; /* this one queue, or NULL: a collection */
	const char *base;
	uint64_t start, count;
	uint64_t min_free_bytes;
};

/* 0, or -1 with the variable that is no number, or too large. */
int sink_choose(const struct sink_options *options, const struct vars *vars,
    struct sink_choice *choice_out, struct error *err);

/*
 * Chooses the queue by the session's variables (QMAILQUEUE, QUEUEDIR,
 * QUEUE_BASE, QUEUE_COUNT, QUEUE_START, MIN_FREE, NULLQUEUE, EXTRAQUEUE) and
 * connects to it, or to another healthy one if it does not answer.  When all
 * are down it waits for one, as for a restart: but only until open_wait_ms
 * after the first sink of the pool has found them so.  vars must stay until the
 * sink ends. *sink_out is set unless the result is an error.
 *
 * uuid names the message; NULL: a new one is made.
 */
int sink_open(struct sink_pool *pool, const struct vars *vars,
    const struct uuid *uuid, struct sink **sink_out);

/*
 * The message's, for its Received field and log lines: what the queue will know
 * it by, which for a user whom it does not trust is uuid_bind()'s.
 */
const struct uuid *sink_uuid(const struct sink *sink);

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
	/* What the sender wants to be told (dsn.h), or NULL; of recipients an
	 * array with NULLs, or NULL.  A program does not get it. */
	const char *dsn;
	const char *const *recipient_dsn;
	unsigned long qp; /* the number logged as "qp" */
};

/* How a message ended. */
struct sink_outcome {
	char text[512]; /* for the client, on another result than QQ_OK */
	/* with QQ_OK: where it is, and its number there; "" and 0 when a
	 * program or nobody has it */
	char queue[64];
	uint64_t id;
};

/*
 * Makes the message durable.  Always frees the sink and sets *sink to NULL.
 */
int sink_commit(struct sink **sink, const struct sink_envelope *envelope,
    struct sink_outcome *outcome_out);

/* Forgets the message.  NULL inside is allowed. */
void sink_abort(struct sink **sink);

#endif
