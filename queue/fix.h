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
	bool is_test;    /* say what would be done, change nothing */
	bool is_verbose; /* say also what is right */
	uid_t uid;       /* the owner; (uid_t)-1: leave owners alone */
	gid_t gid;
};

/*
 * Makes what is missing and repairs the rest: folders, lock files, owners and
 * modes; messages whose name is not their inode number (a queue that was
 * copied), or that lie in the folder of another split, are renamed with all
 * their files; a split todo/ and intd/ (another system's) are joined; files
 * without a message are removed.
 *
 * Each change is one line on standard output.  It may be interrupted and
 * called again at any point.  Returns how many things were (or would be)
 * changed, or -1 with the reason.
 */
int queue_fix(
    const char *path, const struct fix_options *options, struct error *err);

#endif
