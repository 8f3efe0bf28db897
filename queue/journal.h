/* SPDX-License-Identifier: ISC */
/*
 * The journal of a queue: where the envelope of a new message is made durable,
 * together with those of its batch (docs/queue.md, Journal).
 *
 * Most messages are delivered at once and need no file in todo/.  One that is
 * not over after JOURNAL_STAY_MS gets it.
 *
 * One thread at a time uses a journal: who opens and closes it, and the
 * committer in between.
 */
#ifndef QUEUE_JOURNAL_H
#define QUEUE_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "queue/dir.h"
#include "queue/journal_record.h"

enum {
	JOURNAL_STAY_MS = 3000,
	JOURNAL_ENVELOPE_MAX = 8192 /* a larger one is a file at once */
};

struct journal;

/*
 * Gives what an earlier process left in the journal its files in todo/, and
 * empties it, making it when it is not there.  In a repair messages may lie in
 * other folders than their numbers say.  dir is borrowed; the queue is
 * the caller's alone (queue_take()).  0, with NULL when there can be no
 * journal, which the log says; -1 with the reason when envelopes may be left in
 * it, so that nothing may be done in the queue.
 */
int journal_open(const struct queue_dir *dir, bool is_repair,
    struct journal **journal_out, struct error *err);

/*
 * Gives all that is in it files in todo/.  0, or -1 when that failed, which the
 * log says, and is left to the next journal_open().
 */
int journal_close(struct journal **journal);

/*
 * Is there room for a new envelope?  The caller then adds it in this batch, or
 * gives the room up with the end of the batch.
 */
bool journal_reserve(struct journal *journal, size_t length);
/* Adds one; it is durable after the next successful sync. */
void journal_add(struct journal *journal, const struct journal_record *record);

/* Is its envelope here, and is it in todo/, too? */
enum journal_place {
	JOURNAL_NOT, /* no: in todo/, or nowhere */
	JOURNAL_HERE,
	JOURNAL_AND_TODO /* perhaps */
};
enum journal_place journal_find(const struct journal *journal, uint64_t id);

/* The envelope of id counts no more, if it was here; durable as above. */
void journal_end(struct journal *journal, uint64_t id);

/*
 * Before a batch: files in todo/ for what has been here too long, and room for
 * what comes.  now_ms is clock_ms().
 */
void journal_tend(struct journal *journal, int64_t now_ms);
/* When that is wanted next, or 0: not before something is added. */
int64_t journal_next_ms(const struct journal *journal);

/*
 * Writes what was added and ended, so that it outlives this process.  0, or -1
 * with errno: it stays in memory, and what it is about is not durable.
 */
int journal_write(struct journal *journal);

/* Is there anything that is not durable, and could be? */
bool journal_has_unsynced(const struct journal *journal);

/*
 * What is written is going to be synced.  False: there is nothing.  True: the
 * caller syncs the descriptor (fdatasync) and tells journal_synced() how that
 * went, 0 or the errno.
 */
bool journal_begin_sync(struct journal *journal);
void journal_synced(struct journal *journal, int error);
int journal_fd(const struct journal *journal);

#endif
