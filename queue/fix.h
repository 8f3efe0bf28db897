/* SPDX-License-Identifier: ISC */
/*
 * Makes and repairs a queue directory while nobody owns it (queue-fix(8)).
 */
#ifndef QUEUE_FIX_H
#define QUEUE_FIX_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"

/* Something that is wrong in a queue. */
struct fix_fault {
	const char *path; /* in the queue; "": the queue itself */
	const char *text; /* what is wrong with it */
	enum {
		FIX_CHANGE,
		FIX_ORPHAN, /* a file whose message is not there */
		FIX_LEAVE   /* of no queue, and so left as it is */
	} kind;
};

struct fix_options {
	unsigned split;
	bool is_test; /* say what would be done, change nothing */
	/*
	 * Of a test only: faults are handed to see, and no line is printed. The
	 * queue may run meanwhile, so its journal is not looked at, and of a
	 * folder no more than so many files.
	 */
	void (*see)(const struct fix_fault *fault, void *context);
	void *context;
	unsigned files_max;
	bool is_by_inode; /* messages are named by their inodes */
	uid_t uid;        /* the owner; (uid_t)-1: leave owners alone */
	gid_t gid;        /* (gid_t)-1: any */
};

/*
 * Makes what is missing and repairs the rest: folders, lock files, owners and
 * modes; fresh messages that a killed qmail-send left get files, and the
 * journal is empty then; messages that lie in the folder of another split, or
 * that are to be named by their inodes, are renamed with all their files; a
 * split todo/ and intd/ (another system's) are joined; files without a message
 * are removed.
 *
 * Root gives things to the owner first, through no link, and does all the rest
 * as the owner.
 *
 * Each change is one line on standard output, and so is what is damaged.  It
 * may be interrupted and called again at any point.  Returns how many things
 * were (or would be) changed, or -1 with the reason.
 */
int queue_fix(
    const char *path, const struct fix_options *options, struct error *err);

#endif
