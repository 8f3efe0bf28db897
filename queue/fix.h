/* SPDX-License-Identifier: ISC */
/*
 * Makes and repairs a queue directory while nobody owns it (queue-fix(8)).
 */
#ifndef QUEUE_FIX_H
#define QUEUE_FIX_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"

struct fix_options {
	unsigned split;
	bool is_test;     /* say what would be done, change nothing */
	bool is_by_inode; /* messages are named by their inodes */
	uid_t uid;        /* the owner; (uid_t)-1: leave owners alone */
	gid_t gid;
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
