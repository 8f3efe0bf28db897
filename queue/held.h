/* SPDX-License-Identifier: ISC */
/*
 * What an operator holds in a queue: lock/held, a line for each message, "msg
 * ID", or "msg ID QUEUE" while it moves to that queue, and for each lane, "lane
 * KEY".  qmail-send alone writes it.
 */
#ifndef QUEUE_HELD_H
#define QUEUE_HELD_H

#include "base/buf.h"
#include "base/error.h"
#include "base/strlist.h"
#include "queue/idmap.h"

struct held {
	struct idmap messages; /* ids; values: the queue, or NULL; owned */
	struct strlist lanes;  /* sorted */
};

/* No file: nothing is held.  0, or -1 with the reason and nothing in it. */
int held_read(const char *queue_path, struct held *held_out, struct error *err);
void held_release(struct held *held);

/* Puts an id into messages, or takes it out; true when that changed something.
 */
bool held_add_message(struct idmap *messages, uint64_t id, const char *queue);
bool held_remove_message(struct idmap *messages, uint64_t id);

/* Can it be a queue's name, in a line? */
bool held_is_name(const char *text, size_t length);

void held_put_message(struct buf *buf, uint64_t id, const char *queue);
void held_put_lane(struct buf *buf, const char *key);
/* Replaces the file, durably.  0, or -1. */
int held_write(
    const char *queue_path, const struct buf *text, struct error *err);

#endif
