/* SPDX-License-Identifier: ISC */
/* What the first release left in a queue and nobody needs any more. */
#ifndef QUEUE_UPGRADE_H
#define QUEUE_UPGRADE_H

#include <stdbool.h>

#include "base/error.h"
#include "queue/dir.h"

/*
 * Does no envelope in its lock/journal, of messages whose bodies are files,
 * count?  Only that release can read them.  0; -1 with the reason and what to
 * do.
 */
int upgrade_check_journal(const struct queue_dir *dir, struct error *err);

struct upgrade_options {
	bool is_test; /* nothing is removed */
	/* told of each file, by its name in the queue, before it goes; NULL:
	 * the log has their number */
	void (*say)(const char *name, void *context);
	void *context;
};

/*
 * Removes its spare files, pairs of pid/ID.e and a message file that no
 * envelope belongs to, its empty lock/journal and its socket lock/workers.  For
 * the queue's owner, before the messages are listed.  options may be NULL.  0;
 * -1 with the reason, also when lock/journal of that release holds mail: then
 * such a pair may be a message.
 */
int queue_drop_spares(const struct queue_dir *dir,
    const struct upgrade_options *options, struct error *err);

#endif
