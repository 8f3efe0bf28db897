/* SPDX-License-Identifier: ISC */
/*
 * How a group of files is made durable: by a sync of each, or by one of the
 * whole filesystem.
 *
 * Which is quicker depends on the disk, on the filesystem, on how many files
 * there are and on what others write meanwhile.  So it is measured, for groups
 * of about the same size, and the other way is tried now and then, the more
 * rarely the more often it was slower.  Used by one thread.
 */
#ifndef MAILBOX_SYNC_CHOICE_H
#define MAILBOX_SYNC_CHOICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sync_way { SYNC_EACH, SYNC_ALL, SYNC_WAYS };

enum { SYNC_CHOICE_SIZES = 10 }; /* 1, 2-3, 4-7 ... 512 and more files */

struct sync_choice {
	struct sync_record {
		int64_t us[SYNC_WAYS]; /* for one file; 0: not known */
		unsigned groups;       /* since the last trial */
		unsigned trial_after;  /* 0: not set yet */
		bool is_trial;         /* the group under way */
	} sizes[SYNC_CHOICE_SIZES];
};

/* The way for a group of count files, at least 1. */
enum sync_way sync_choice_pick(struct sync_choice *choice, size_t count);

/* How long that took. */
void sync_choice_learn(struct sync_choice *choice, size_t count,
    enum sync_way way, int64_t took_us);

#endif
