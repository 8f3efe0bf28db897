/* SPDX-License-Identifier: ISC */
/*
 * The packets between a client with new mail and qmail-send's intake socket,
 * lock/intake (docs/protocol.md, Intake).
 *
 * HELLO first.  Then one transaction after the other: any number of BODY and
 * ENVELOPE pieces, then COMMIT, which brings the last pieces of both and is all
 * that a small message needs; its answer is one ANSWER.  ABORT forgets what was
 * sent of a transaction.  ASK is answered by ANSWER, too: whether a message
 * with this UUID was committed, as a client wants to know whose answer was
 * lost.
 *
 * OPERATE is an operator's word on a message, or on a lane, and is answered by
 * ANSWER as well; only root and the queue's user are obeyed, and of the other
 * trusted clients a retry of a lane that etrnhosts allows (its text is the
 * address of who asks).
 */
#ifndef QUEUE_INTAKE_PACKET_H
#define QUEUE_INTAKE_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/uuid.h"

/* Raised with any change of the packets below. */
enum { INTAKE_VERSION = 4 };

enum intake_type {
	INTAKE_HELLO = 1,
	INTAKE_BODY,
	INTAKE_ENVELOPE,
	INTAKE_COMMIT,
	INTAKE_ASK,
	INTAKE_ABORT,
	INTAKE_ANSWER,
	INTAKE_OPERATE
};

/* What OPERATE wants; a lane can be held, released and retried. */
enum intake_action {
	INTAKE_HOLD = 1, /* answered when nothing of it is under way */
	INTAKE_RELEASE,
	INTAKE_RETRY,  /* due now; back-offs in its way end */
	INTAKE_DELETE, /* what is left of it ends, and no one is told */
	INTAKE_BOUNCE, /* what is left fails, for the reason given */
	INTAKE_FORGET, /* it is in another queue: even what has failed before
			* is not told from here */
	INTAKE_ACTION_END
};

/* ANSWER's code to ASK and OPERATE, besides enum qq: no such message. */
enum { INTAKE_ABSENT = 255 };

/* Any of the packets; fields that its type does not have are zero or "". */
struct intake_packet {
	enum intake_type type;
	uint32_t version;    /* HELLO */
	struct uuid uuid;    /* COMMIT, ASK */
	uint64_t qp;         /* COMMIT: the number logged as "qp" */
	uint64_t size_bytes; /* COMMIT: of the whole body, checked */
	bool is_import;      /* COMMIT: the envelope has marks, notes, birth and
			      * attempts (envelope.h); trusted clients only */
	const char *body;    /* BODY, COMMIT: a piece */
	size_t body_length;
	const char *envelope; /* ENVELOPE, COMMIT: a piece */
	size_t envelope_length;
	enum intake_action action; /* OPERATE */
	const char *lane;          /* OPERATE: its key, if id is 0 */
	uint64_t id;   /* ANSWER: the message's number, with code 0; OPERATE */
	uint32_t code; /* ANSWER: enum qq, or INTAKE_ABSENT */
	const char *
	    text; /* ANSWER: the reason, for the log; OPERATE, for the sender */
};

void intake_put(struct buf *buf, const struct intake_packet *packet);

/* False when it is not a packet, or its UUID is none.  Texts point into data.
 */
bool intake_get(const void *data, size_t length, struct intake_packet *out);

#endif
