/* SPDX-License-Identifier: ISC */
/*
 * The records of lock/journal (docs/queue.md, Journal), in memory.
 *
 * The file has two halves.  Each begins with a header that says which
 * generation of records follows; what does not fit to it, and what is behind
 * that, was written before or not to the end.
 */
#ifndef QUEUE_JOURNAL_RECORD_H
#define QUEUE_JOURNAL_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum {
	JOURNAL_HALVES = 2,
	JOURNAL_HALF_BYTES = 2 * 1024 * 1024,
	JOURNAL_HEADER_BYTES = 512 /* a sector: written whole or not at all */
};

struct journal_record {
	size_t skipped; /* bytes in front of it that are no record */
	uint64_t id;
	bool is_over; /* the envelope of this id counts no more; without: */
	uint64_t size_bytes;  /* of the message file */
	int64_t mtime_s;      /* of the message file */
	const char *envelope; /* a todo record; in the parsed data */
	size_t length;
};

/* Puts a header behind what buf holds; generations count from 1. */
void journal_put_header(struct buf *buf, uint64_t generation);

/* The generation that a half is of; 0 when it has no header. */
uint64_t journal_get_header(const char *half, size_t length);

/* Puts a record behind what buf holds. */
void journal_put_record(
    struct buf *buf, uint64_t generation, const struct journal_record *record);

/* How many bytes that takes, and how many of them are before the envelope. */
enum { JOURNAL_OVER_BYTES = 25, JOURNAL_BEFORE_ENVELOPE = 45 };

/*
 * The next record at or behind *at, which moves behind it; what is no whole
 * record of this generation is passed over.  False when there is none.
 */
bool journal_get_record(const char *half, size_t length, uint64_t generation,
    size_t *at, struct journal_record *record_out);

#endif
