/* SPDX-License-Identifier: ISC */
/* Packets that wait until they are taken. */
#include "base/outbox.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "base/packet.h"

struct unsent {
	TAILQ_ENTRY(unsent) next;
	struct buf packet;
};

void
outbox_init(struct outbox *outbox)
{
	*outbox = (struct outbox){ 0 };
	TAILQ_INIT(&outbox->packets);
}

static void
drop_first_packet(struct outbox *outbox)
{
	struct unsent *first = TAILQ_FIRST(&outbox->packets);

	TAILQ_REMOVE(&outbox->packets, first, next);
	if (--outbox->count > 0) /* it was not the last */
		outbox->full_bytes -= first->packet.length;
	buf_release(&first->packet);
	free(first);
}

void
outbox_release(struct outbox *outbox)
{
	while (!TAILQ_EMPTY(&outbox->packets))
		drop_first_packet(outbox);
}

size_t
outbox_bytes(const struct outbox *outbox)
{
	const struct unsent *last = TAILQ_LAST(&outbox->packets, unsent_list);

	return last == NULL ? 0 : outbox->full_bytes + last->packet.length;
}

struct buf *
outbox_add(struct outbox *outbox)
{
	struct unsent *unsent = xcalloc(1, sizeof(*unsent));

	outbox->full_bytes = outbox_bytes(outbox);
	buf_init(&unsent->packet);
	TAILQ_INSERT_TAIL(&outbox->packets, unsent, next);
	outbox->count++;
	return &unsent->packet;
}

struct buf *
outbox_last(struct outbox *outbox)
{
	struct unsent *last = TAILQ_LAST(&outbox->packets, unsent_list);

	return last == NULL ? NULL : &last->packet;
}

bool
outbox_send(struct outbox *outbox, int fd)
{
	while (!TAILQ_EMPTY(&outbox->packets)) {
		struct buf *packet = &TAILQ_FIRST(&outbox->packets)->packet;

		if (packet_send(fd, packet->data, packet->length, -1,
			MSG_DONTWAIT) == -1) {
			if (errno == EAGAIN)
				return true;
			outbox_release(outbox);
			return false;
		}
		drop_first_packet(outbox);
	}
	return true;
}
