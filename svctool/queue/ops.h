/* SPDX-License-Identifier: ISC */
/* What svctool queue does to one queue. */
#ifndef SVCTOOL_QUEUE_OPS_H
#define SVCTOOL_QUEUE_OPS_H

#include <stdbool.h>

#include "base/error.h"
#include "svctool/node.h"

struct queue_op_options {
	unsigned timeout_s;       /* for whatever has to be waited for */
	bool is_local, is_remote; /* hold, release: neither means both */
};

/* Each says its steps; 0 or -1. */

/* The next of the collection (queueN), or an extra queue of another name. */
int queue_add(const struct node *node, const char *name,
    const struct queue_op_options *options, struct error *err);
/* The last of the collection, or an extra one; it must be empty. */
int queue_remove(const struct node *node, const char *name,
    const struct queue_op_options *options, struct error *err);
int queue_hold(const struct node *node, const char *name,
    const struct queue_op_options *options, struct error *err);
int queue_release(const struct node *node, const char *name,
    const struct queue_op_options *options, struct error *err);
/* queue-fix, with the queue stopped meanwhile. */
int queue_repair(const struct node *node, const char *name,
    const struct queue_op_options *options, struct error *err);

/* Is there such a queue?  0, or -1 with the reason. */
int queue_must_exist(
    const struct node *node, const char *name, struct error *err);

/* Stops the queue's service and waits until nothing owns the queue. */
int queue_stop(const struct node *node, const char *name, unsigned timeout_s,
    struct error *err);

/*
 * Waits until the queue is up; only where svscan runs, which starts a new
 * service within five seconds.
 */
int queue_wait_up(const struct node *node, const char *name, unsigned timeout_s,
    struct error *err);

/*
 * Messages of the queue (queue/look.h); -1 with the reason when they cannot be
 * counted, or there are none but something else: where messages lie, or kept
 * for people.
 */
long queue_messages(
    const struct node *node, const char *name, struct error *err);

#endif
