/* SPDX-License-Identifier: ISC */
/*
 * The packets between qmail-send and its delivery workers (docs/protocol.md).
 *
 * A worker connects to lock/workers in the queue directory and says hello.
 * qmail-send then sends jobs, each one packet with a read-only descriptor of
 * the message positioned at 0; the worker answers each with one result, in any
 * order, after it has closed that descriptor.  Results that are ready together
 * share a packet, so that qmail-send wakes once for them.
 */
#ifndef QUEUE_JOB_H
#define QUEUE_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* Raised with any change of the packets below. */
enum { JOB_VERSION = 2 };

enum job_channel {
	JOB_VIRTUAL = 'v', /* users of virtual domains */
	JOB_LOCAL = 'l',   /* the general local way */
	JOB_REMOTE = 'r'
};

/* A worker's first packet. */
struct job_hello {
	uint32_t version;
	enum job_channel channel;
};

/* One delivery.  Texts are borrowed: from the packet after job_get(). */
struct job {
	uint32_t delivery;     /* given back in the result */
	uint64_t message_id;   /* for logs */
	const char *sender;    /* "" for the null sender */
	const char *recipient; /* as rewritten: example.test-u0@example.test */
	const char *user;      /* from users/assign; "" for remote */
	uint32_t uid, gid;
	const char *home; /* the virtual domain's folder */
	const char *dash;
	const char *extension; /* the local part, in a virtual domain */
	const char *header;    /* lines to put in front (QQEH), or "" */
};

enum job_outcome {
	JOB_DELIVERED = 'K',
	JOB_TEMPFAIL = 'Z',
	JOB_PERMFAIL = 'D',
	JOB_GENERAL = 'G' /* not for this worker: needs the general way */
};

/* A worker's answer to one job. */
struct job_result {
	uint32_t delivery;
	enum job_outcome outcome;
	const char *text; /* one or more lines for the log and the bounce */
};

/* Put a packet, or one more result of it, behind what buf holds. */
void job_put_hello(struct buf *buf, const struct job_hello *hello);
void job_put(struct buf *buf, const struct job *job);
void job_put_result(struct buf *buf, const struct job_result *result);

/* Read a whole packet; false when it is not one. */
bool job_get_hello(const void *data, size_t length, struct job_hello *out);
bool job_get(const void *data, size_t length, struct job *out);

/*
 * Reads the first of the results in a packet and moves *data and *length past
 * it; false when there is something else.  Nothing is left after the last one.
 */
bool job_take_result(const char **data, size_t *length, struct job_result *out);

#endif
