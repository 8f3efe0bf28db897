/* SPDX-License-Identifier: ISC */
/* Reads a journal's segments: for journal.c, and for those who only look. */
#ifndef QUEUE_JOURNAL_SCAN_H
#define QUEUE_JOURNAL_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "queue/journal_record.h"

/* A segment's name in lock/, by its place: generations go round. */
enum { JOURNAL_NAME_SIZE = 16 };
void journal_name(char name_out[JOURNAL_NAME_SIZE], unsigned place);

struct journal_found {
	uint64_t size_bytes; /* 0: there is no such file */
	uint64_t generation; /* 0: none */
	bool counts;         /* the ring has not come to its place again */
	bool is_damaged;     /* something that counted cannot be read */
	bool is_aside;       /* it has another name, for people */
};

struct journal_scan {
	struct journal_found segments[JOURNAL_SEGMENTS];
	uint64_t newest;  /* journal_count() of the last one; 0: none */
	uint64_t next_id; /* above all that is there */
};

struct journal_teller {
	/*
	 * Each message, the oldest first; its texts are valid during the call.
	 * over: JOURNAL_NEW (it counts), or how it has ended; those that have
	 * may be left out, unless wants_all.
	 */
	void (*message)(const struct journal_message *message,
	    enum journal_type over, uint64_t count, void *context);
	void *context;
	bool wants_all;
};

/* 0; -1 with the reason when a file cannot be opened. */
int journal_scan(const struct queue_dir *dir,
    const struct journal_teller *teller, struct journal_scan *scan_out,
    struct error *err);

/*
 * What a journal holds, for queue tools, svctool and queue-fix.  While a
 * qmail-send works a view may miss what comes, and show what has just ended.
 */
struct journal_view {
	struct journal_message *messages; /* those that count, oldest first */
	size_t count;
	bool is_damaged; /* something that counted cannot be read, and is not
			  * kept aside yet; or, while a qmail-send works, has
			  * just been written */
	struct buf data; /* where texts point to */
};

/*
 * A journal that is not there is an empty one.  0, and the caller releases; or
 * -1 with the reason, also when lock/journal of an older release holds mail.
 */
int journal_view_open(const struct queue_dir *dir,
    struct journal_view *view_out, struct error *err);
void journal_view_release(struct journal_view *view);

#endif
