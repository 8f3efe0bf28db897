/* SPDX-License-Identifier: ISC */
/*
 * Packets that wait until the other side of a connection takes them.  Used by
 * one thread.
 */
#ifndef BASE_OUTBOX_H
#define BASE_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

#include "base/buf.h"

struct unsent;

struct outbox {
	TAILQ_HEAD(unsent_list, unsent) packets;
	size_t count;
	size_t full_bytes; /* of all but the last, which may grow */
};

void outbox_init(struct outbox *outbox);
void outbox_release(struct outbox *outbox);

/* A new packet at its end, empty, to be filled before anything is sent. */
struct buf *outbox_add(struct outbox *outbox);
/* Of all that waits. */
size_t outbox_bytes(const struct outbox *outbox);
/* The last packet, for one who has more of the same; NULL: there is none. */
struct buf *outbox_last(struct outbox *outbox);

/*
 * Sends as much as the other side takes now.  False when it has gone: then
 * nothing is left.
 */
bool outbox_send(struct outbox *outbox, int fd);

#endif
