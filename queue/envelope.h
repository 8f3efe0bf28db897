/* SPDX-License-Identifier: ISC */
/*
 * Envelopes on disk (docs/queue.md, Records) and in memory.
 */
#ifndef QUEUE_ENVELOPE_H
#define QUEUE_ENVELOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

enum {
	ENVELOPE_MAX_BYTES = 16 * 1024 * 1024,
	/* qmail's limit; more is qmail-queue's exit code 11 */
	ENVELOPE_ADDRESS_MAX = 1003,
	/* of an extra header: it travels in one packet to a worker */
	ENVELOPE_HEADER_MAX = 32768
};

/*
 * An envelope.  Texts point into the record it was parsed from, which must
 * stay; the recipients' array is the envelope's own.
 */
struct envelope {
	unsigned long uid;
	unsigned long qp;
	const char *sender;
	const char *header; /* "" when there is none */
	const char **recipients;
	size_t recipient_count;
};

/*
 * Parses a todo record (with u and p) or what qmail-queue reads on fd 1
 * (without, its end marked by an empty string, and no recipient is empty;
 * is_input).  The record must end in NUL.  0, or -1 with the reason; after 0
 * the caller releases.
 */
int envelope_parse(const char *record, size_t length, bool is_input,
    struct envelope *envelope_out, struct error *err);
void envelope_release(struct envelope *envelope);

/* Puts the todo record behind what buf holds. */
void envelope_format(struct buf *buf, const struct envelope *envelope);

#endif
