/* SPDX-License-Identifier: ISC */
/* control/queue_count: how many queues new mail is spread over. */
#ifndef SVCTOOL_QUEUE_COUNT_H
#define SVCTOOL_QUEUE_COUNT_H

#include "base/error.h"
#include "svctool/node.h"

struct queue_collection {
	unsigned start; /* number of the first queue */
	unsigned count;
};

/*
 * 0, or -1 when the settings cannot be read, or when the first number is that
 * of no queue while there are others of such names: then nothing that is done
 * to a queue would be what is meant.
 */
int queue_count_read(const struct node *node,
    struct queue_collection *collection_out, struct error *err);

/*
 * Writes the count and tells the listeners and queues by HUP.  0 or -1.
 */
int queue_count_write(
    const struct node *node, unsigned count, struct error *err);

/*
 * The number of a queue of the collection's form ("queue3" is 3); 0 for
 * another name.
 */
unsigned queue_count_number(const char *name);

#endif
