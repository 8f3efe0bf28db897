/* SPDX-License-Identifier: ISC */
/* What svctool check looks at in one queue. */
#ifndef SVCTOOL_CHECK_QUEUE_H
#define SVCTOOL_CHECK_QUEUE_H

#include "queue/dir.h"
#include "svctool/check/check.h"

/* Owners and modes of its folders and lock files, whole or not. */
void check_queue_modes(struct check *check, const char *name);

/*
 * Files without a message, at most some thousands of each folder.  The queue
 * may run meanwhile.
 */
void check_queue_orphans(struct check *check, const struct queue_dir *queue);

#endif
