/* SPDX-License-Identifier: ISC */
/*
 * The journal of a queue: where new messages, envelope and body, are made
 * durable, many by one sync (docs/queue.md, Journal).
 *
 * One thread at a time uses a journal: who opens and closes it, and the
 * committer (queue/commit.h) in between.  What it holds it also has in no
 * other place: nothing is read back while it is open.
 */
#ifndef QUEUE_JOURNAL_H
#define QUEUE_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/uuid.h"
#include "queue/dir.h"

enum {
	JOURNAL_SEGMENTS = 4,
	JOURNAL_PAGE_BYTES = 4096, /* each batch begins at such a place */
	/* a segment, at least; and a message, at most a quarter of one */
	JOURNAL_SEGMENT_MIN = 256 * 1024
};

/* A message in the journal. */
struct journal_message {
	uint64_t id;
	struct uuid uuid;
	int64_t birth_s;     /* Unix time */
	uint64_t size_bytes; /* of the body, committed */
	const char *record;  /* the envelope: a todo record (envelope.h) */
	size_t record_length;
	const char *body; /* NULL: it is in mess/ID, synced */
};

/* What an earlier process left, as journal_open() tells it; either may be
 * NULL. */
struct journal_finder {
	/* still counts; texts are valid during the call.  segment: see below */
	void (*message)(const struct journal_message *message, uint64_t segment,
	    void *context);
	/* has ended; told so that who asks again for its UUID hears so */
	void (*ended)(uint64_t id, const struct uuid *uuid, void *context);
	void *context;
};

struct journal;

/*
 * Opens the segments, of size_bytes in all, making those that are missing or,
 * when nothing in them counts, of another size; and tells what counts in them.
 * The queue is the caller's alone (queue_take()); dir is borrowed.  A segment
 * with places that cannot be read, or are damaged where that means loss, is
 * used as far as possible, kept aside as lock/journal.damaged.N, and named in
 * the log.
 *
 * 0; -1 with the reason when the queue cannot work with it, as without
 * permission.  A full disk is no such reason: journal_add() then says that
 * there is no room.
 */
int journal_open(const struct queue_dir *dir, uint64_t size_bytes,
    const struct journal_finder *finder, struct journal **journal_out,
    struct error *err);

/* Writes and syncs what has ended.  0, or -1 which the log tells. */
int journal_close(struct journal **journal);

/* The smallest id that was never used in this queue's journal. */
uint64_t journal_next_id(const struct journal *journal);

/*
 * Can the message go into a segment, when there is room?  One with a very large
 * envelope cannot, and needs files at once.  Any thread.
 */
bool journal_fits(
    const struct journal *journal, const struct journal_message *message);

/*
 * Adds a message to the batch, which copies its texts.  False when there is no
 * room: the segment is full with this batch, so that it has to be committed
 * first; or, with an empty batch, the next one has messages that still count,
 * or cannot be made.
 */
bool journal_add(
    struct journal *journal, const struct journal_message *message);

/*
 * The message counts no more; written with the next batch that has room.  Of an
 * id that is not there it does nothing.
 */
void journal_end(struct journal *journal, uint64_t id);

/*
 * The same, of a message that has ended already, too: after a start its UUID is
 * not among those that were committed, as it may come again.
 */
void journal_forget(struct journal *journal, uint64_t id);

/* Did it end, and is that not durable yet? */
bool journal_is_ending(const struct journal *journal, uint64_t id);

/* Is there anything that journal_commit() would write? */
bool journal_has_unwritten(const struct journal *journal);

/*
 * Makes the batch durable, with all ends that have room: one write that is a
 * sync, too (this is the one place that says what durable means).  0; -1 with
 * errno: then nothing of this batch is durable, those messages do not count,
 * and what ended is written again with the next batch, in another segment.
 */
int journal_commit(struct journal *journal);

/*
 * Writes what has ended, without a sync, so that it outlives this process.
 * 0 or -1 with errno.
 */
int journal_write_ends(struct journal *journal);

/*
 * Segments count up for ever.  journal_segment: the one that the last added
 * message went to.  journal_wanted: all messages in segments up to this one
 * should end or become kept, because their place is wanted soon; 0 for none.
 */
uint64_t journal_segment(const struct journal *journal);
uint64_t journal_wanted(const struct journal *journal);

struct journal_stats {
	uint64_t size_bytes, used_bytes; /* used: by segments that count */
	uint64_t messages;               /* that count */
};
void journal_read_stats(
    const struct journal *journal, struct journal_stats *stats_out);

#endif
