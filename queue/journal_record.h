/* SPDX-License-Identifier: ISC */
/*
 * The format of a journal's segments (docs/queue.md, Journal), in memory.
 */
#ifndef QUEUE_JOURNAL_RECORD_H
#define QUEUE_JOURNAL_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "queue/journal.h"

enum journal_type {
	JOURNAL_UNREADABLE = 0, /* whole, but a newer release's, or broken */
	JOURNAL_NEW = '+',
	JOURNAL_END = '-',
	JOURNAL_WITHDRAWN = '!' /* an end: its client was told of a failure */
};

enum {
	JOURNAL_END_BYTES = 29,
	JOURNAL_NEW_BYTES = 66 /* and those of envelope and body */
};

/*
 * A generation is a number that counts segments, from 1, in its upper half, and
 * one by chance in the lower, so that no mail can have records in its body.
 */
static inline uint64_t
journal_count(uint64_t generation)
{
	return generation >> 32;
}

struct journal_record {
	enum journal_type type;
	uint32_t page; /* of the segment, where its batch begins */
	struct journal_message message; /* only id, if it is an end; its texts
					 * are in the parsed data */
};

/* Puts the first page of a segment behind what buf holds. */
void journal_put_header(struct buf *buf, uint64_t generation, uint64_t next_id);

/* False when the page is none. */
bool journal_get_header(const char *page, size_t length,
    uint64_t *generation_out, uint64_t *next_id_out);

/* Puts a record behind what buf holds. */
void journal_put_record(
    struct buf *buf, uint64_t generation, const struct journal_record *record);

/*
 * The record at the front of data.  How long it is; 0 when there is none that
 * is whole.  Only the generation is set with JOURNAL_UNREADABLE.
 */
size_t journal_get_record(const char *data, size_t length,
    uint64_t *generation_out, struct journal_record *record_out);

/* Reads the records of one generation in a segment. */
struct journal_cursor {
	const char *data; /* from the first page */
	size_t length;
	uint64_t generation;
	size_t at;
	uint32_t page;   /* of the last record's batch */
	bool has_gap;    /* in that batch, or perhaps in the next one */
	bool is_damaged; /* something was durable, and is not there, or
			  * cannot be read */
};

void journal_cursor_open(struct journal_cursor *cursor, const char *data,
    size_t length, uint64_t generation);

/* False when there is none any more. */
bool journal_cursor_next(
    struct journal_cursor *cursor, struct journal_record *record_out);

#endif
