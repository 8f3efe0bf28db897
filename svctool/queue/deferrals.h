/* SPDX-License-Identifier: ISC */
/*
 * Why messages of a queue were deferred.  That is in the queue's log alone:
 * what multilog has put away for good is not known any more.
 */
#ifndef SVCTOOL_QUEUE_DEFERRALS_H
#define SVCTOOL_QUEUE_DEFERRALS_H

#include <stdbool.h>
#include <stdint.h>

#include "queue/idmap.h"
#include "svctool/node.h"

struct deferrals {
	struct idmap by_message; /* struct strlist *, of texts */
};

/* Of the messages that have not ended; of a log that cannot be read none. */
void deferrals_load(
    const struct node *node, const char *queue, struct deferrals *out);
void deferrals_release(struct deferrals *deferrals);

/*
 * Does a reason of the message match the pattern (fnmatch, any case of
 * letters)?  The log has "_" for a blank, which both match.
 */
bool deferrals_match(
    const struct deferrals *deferrals, uint64_t id, const char *pattern);

#endif
