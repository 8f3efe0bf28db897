/* SPDX-License-Identifier: ISC */
/*
 * What a queue's journal holds, for those who only look, and at the start.
 */
#ifndef QUEUE_JOURNAL_VIEW_H
#define QUEUE_JOURNAL_VIEW_H

#include "base/error.h"
#include "queue/dir.h"
#include "queue/journal_record.h"

struct journal_view {
	/* messages whose envelope is here, in the order they came */
	struct journal_record *records; /* their envelopes are in data */
	size_t count;
	struct buf data; /* the whole file */
	bool is_damaged; /* something else is between records, or in a
			  * header, or the file was cut */
	uint64_t generations[JOURNAL_HALVES];
};

/*
 * Reads the journal in the queue's lock/, an open folder; without one nothing
 * is in it.  A queue that is worked in may have moved on meanwhile.  0, and the
 * caller releases; or -1 with the reason.
 */
int journal_view_read(int lock_folder, const char *queue_path,
    struct journal_view *view_out, struct error *err);
/* The same of a queue that is whole. */
int journal_view_open(const struct queue_dir *dir,
    struct journal_view *view_out, struct error *err);
void journal_view_release(struct journal_view *view);

/* Is this the name of what was kept for people in lock/? */
bool queue_is_kept(const char *name);

#endif
