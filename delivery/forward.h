/* SPDX-License-Identifier: ISC */
/*
 * New messages that a delivery makes: a forward, an answer.
 *
 * Each has a UUID that is made from that of the message which is delivered, of
 * whom it is delivered to and of what it is for.  So a delivery that is made
 * again, after a crash, hands in the same message again, and the queue knows
 * it.
 */
#ifndef DELIVERY_FORWARD_H
#define DELIVERY_FORWARD_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/uuid.h"
#include "control/home.h"

struct forwarder;

/*
 * For a process: queue_dir is the queue that new messages go to, the one whose
 * message is delivered, since only it knows what it has taken; NULL: any.
 * NULL with the reason.
 */
struct forwarder *forwarder_new(
    const struct home *home, const char *queue_dir, struct error *err);
void forwarder_free(struct forwarder **forwarder);

/* One new message: lines in front, then fd's bytes from 0, or a text. */
struct forward {
	const struct uuid *of; /* the message delivered; none: a new UUID */
	const char *for_whom;  /* to whom that one is delivered */
	const char *purpose;   /* what tells its new messages apart */
	const char *sender;
	const char *const *recipients;
	size_t recipient_count;
	const char *front; /* lines, each ended; or "" */
	int fd;            /* -1: text alone */
	uint64_t size_bytes;
	const char *text;
};

/* Hands it in: 0 when it is durable; -1 with the reason, a temporary one. */
int forward_commit(struct forwarder *forwarder, const struct forward *forward,
    struct error *err);

/* The UUID of a message that is made of another one. */
void forward_uuid(const struct forward *forward, struct uuid *uuid_out);

#endif
