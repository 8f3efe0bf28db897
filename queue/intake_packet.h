/* SPDX-License-Identifier: ISC */
/*
 * The packets between a client with new mail and qmail-send's intake socket,
 * lock/intake (docs/protocol.md).
 *
 * One transaction at a time on a connection: OPEN -> OPENED with a descriptor
 * to write the message to (or REFUSED); then, with the descriptor closed, any
 * number of ENVELOPE packets (each a piece of the todo record's F and T part)
 * and COMMIT -> COMMITTED; or ABORT, which has no answer.  A connection that
 * ends is an ABORT.
 *
 * A client that sends many messages sets wants_next: COMMITTED then brings the
 * descriptor of the next transaction, if there is one to be had, as if OPEN had
 * been sent and OPENED had come.
 */
#ifndef QUEUE_INTAKE_PACKET_H
#define QUEUE_INTAKE_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* Raised with any change of the packets below. */
enum { INTAKE_VERSION = 2 };

enum intake_type {
	INTAKE_OPEN = 1,
	INTAKE_OPENED,
	INTAKE_REFUSED,
	INTAKE_ENVELOPE,
	INTAKE_COMMIT,
	INTAKE_COMMITTED,
	INTAKE_ABORT
};

/* Any of the packets; fields that its type does not have are zero or "". */
struct intake_packet {
	enum intake_type type;
	uint32_t version;    /* OPEN */
	uint64_t id;         /* OPENED, COMMITTED */
	uint32_t code;       /* REFUSED, COMMITTED: enum qq */
	const char *text;    /* REFUSED, COMMITTED: the reason, for the log */
	uint64_t size_bytes; /* COMMIT: of the message */
	uint64_t qp;         /* COMMIT */
	bool wants_next;     /* COMMIT */
	const char *piece;   /* ENVELOPE, COMMIT: of the envelope */
	size_t piece_length;
};

void intake_put(struct buf *buf, const struct intake_packet *packet);

/* False when it is not a packet.  Texts point into data. */
bool intake_get(const void *data, size_t length, struct intake_packet *out);

#endif
