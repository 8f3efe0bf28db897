/* SPDX-License-Identifier: ISC */
/*
 * What nodes say on the bus, once a second each: one frame, a JSON object.
 *
 *	v	CLUSTER_PROTOCOL of who says it
 *	node	its name
 *	instance, epoch
 *		of its clusterd, and its lease's; 0 without a lease
 *	seq	grows by one with each message of the instance
 *	at	its clock, in milliseconds of Unix time
 *	health	how it is (health.h)
 *
 * Members that are not known are passed over.  Each message says all that there
 * is to say, so whoever missed some knows everything again with the next.
 */
#ifndef CLUSTER_MESSAGE_H
#define CLUSTER_MESSAGE_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/uuid.h"
#include "cluster/identity.h"

enum { MESSAGE_MAX = 65536 /* bytes */ };

/* Why a message counts for nothing. */
enum message_fault {
	MESSAGE_FINE,
	MESSAGE_TOO_LARGE,
	MESSAGE_NOT_JSON, /* cut short, too */
	MESSAGE_OTHER_VERSION,
	MESSAGE_INCOMPLETE,
	/* These are found by who knows what came before. */
	MESSAGE_OTHER_NODE, /* another name than that of the key */
	MESSAGE_OLD,        /* of an epoch or instance that is over */
	MESSAGE_REPLAYED,   /* came before */
	MESSAGE_FAULT_COUNT
};
const char *message_fault_name(enum message_fault fault);

struct message {
	unsigned version;
	char node[CLUSTER_NAME_SIZE];
	struct uuid instance;
	uint64_t epoch, sequence;
	int64_t at_ms;
	json_t *health; /* an object, the message's own */
};

/* When it is FINE the caller releases it. */
enum message_fault message_read(
    const void *data, size_t length, struct message *message_out);
void message_release(struct message *message);

/* Behind what out holds.  0; -1: it would be too large. */
int message_write(const struct message *message, struct buf *out);

/*
 * May this one follow that which its node sent last?  FINE, OLD or REPLAYED.
 * last->sequence 0: there was none.
 */
enum message_fault message_judge(
    const struct message *last, const struct message *message);

#endif
