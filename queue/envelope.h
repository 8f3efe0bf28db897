/* SPDX-License-Identifier: ISC */
/*
 * Envelopes on disk (docs/queue.md, Records) and in memory.
 */
#ifndef QUEUE_ENVELOPE_H
#define QUEUE_ENVELOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/uuid.h"

enum {
	ENVELOPE_MAX_BYTES = 16 * 1024 * 1024,
	/* qmail's limit; more is qmail-queue's exit code 11 */
	ENVELOPE_ADDRESS_MAX = 1003,
	/* of an extra header: it travels in one packet to a worker */
	ENVELOPE_HEADER_MAX = 32768,
	ENVELOPE_ATTEMPT_MAX = 999999 /* info/ID has six digits for it */
};

/*
 * An envelope.  Texts point into the record it was parsed from, which must
 * stay; the recipients' array is the envelope's own.
 */
struct envelope {
	unsigned long uid;
	unsigned long qp;
	struct uuid uuid;    /* none: of another system's qmail-queue */
	bool has_size;       /* not in a record of another system's */
	uint64_t size_bytes; /* the message's committed length */
	const char *sender;
	const char *header; /* "" when there is none */
	const char *dsn;    /* the message's (dsn.h), or "" */
	const char **recipients;
	const char **recipient_dsn; /* of each, or ""; NULL: no one has any */
	size_t recipient_count;
	/* of a message that was in another queue before; else 0, 0, "", NULL */
	time_t birth;
	unsigned attempt;  /* tries so far */
	const char *notes; /* of failures, for the report */
	bool *is_done;     /* of each recipient; the envelope's own */
};

enum envelope_form {
	ENVELOPE_TODO,  /* all types, as in todo/ID and the journal */
	ENVELOPE_INPUT, /* without, as qmail-queue reads it on fd 1: its end
			 * marked by an empty string, no recipient empty */
	ENVELOPE_IMPORT /* INPUT, and it may have D, b, a and n records */
};

/*
 * Parses a record, which must end in NUL.  0, or -1 with the reason; after 0
 * the caller releases.
 */
int envelope_parse(const char *record, size_t length, enum envelope_form form,
    struct envelope *envelope_out, struct error *err);
void envelope_release(struct envelope *envelope);

/*
 * Puts the todo record behind what buf holds.  UUID and length are behind the
 * number of the p record, where qmail's programs do not look; D, b, a, n, e and
 * r records, which they do not know, are put only where there is something to
 * say.
 */
void envelope_format(struct buf *buf, const struct envelope *envelope);

/* The text of a recipient's parameters, or "". */
const char *envelope_dsn(const struct envelope *envelope, size_t recipient);

/* Only its u and p records: what an input's form becomes a todo's with. */
void envelope_put_origin(struct buf *buf, const struct envelope *envelope);

/* Single records, also those of info/ID (remembered.h). */
void envelope_put(struct buf *buf, char type, const char *text);
void envelope_put_number(struct buf *buf, char type, uint64_t number);

/*
 * Has a message, of which there are size_bytes, the length that was committed?
 * 0, or -1 with the reason.  Whoever finds another one defers, always.
 */
int envelope_check_size(uint64_t id, uint64_t size_bytes,
    uint64_t committed_bytes, struct error *err);

#endif
