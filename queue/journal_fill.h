/* SPDX-License-Identifier: ISC */
/* From the journal into todo/. */
#ifndef QUEUE_JOURNAL_FILL_H
#define QUEUE_JOURNAL_FILL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "queue/dir.h"
#include "queue/journal_record.h"

/*
 * Makes todo/ID, durably, of each envelope, in place of pid/ID.e, which may be
 * open (is_running) or is a file that is not to be trusted.  0, or -1 with the
 * reason: then any of them may be there, or not.
 */
int journal_fill(const struct queue_dir *dir, bool is_running,
    const struct journal_record *records, size_t count, struct error *err);

/*
 * Is mess/S/ID what the envelope was written for?  It is another message's when
 * it has another size, or was written later; but the time does not tell in a
 * queue that was copied, where numbers are no inodes.
 */
enum journal_match {
	JOURNAL_MATCH,
	JOURNAL_OTHER,
	JOURNAL_ABSENT,
	JOURNAL_UNKNOWN /* cannot be told */
};
enum journal_match journal_match(
    const struct queue_dir *dir, const struct journal_record *record);

/*
 * Keeps an envelope that is not its message's any more, for people: as
 * lock/envelope.ID.  0 or -1 with the reason.
 */
int journal_set_aside(const struct queue_dir *dir,
    const struct journal_record *record, struct error *err);

#endif
