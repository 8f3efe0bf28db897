/* SPDX-License-Identifier: ISC */
/*
 * The clients of qmail-send's intake: private to queue/send_client.c (their
 * connections), queue/send_intake.c (what they say) and queue/send_limits.c
 * (how much they may take up).
 */
#ifndef QUEUE_SEND_CLIENT_H
#define QUEUE_SEND_CLIENT_H

#include <stdatomic.h>

#include "queue/send.h"

enum client_state {
	CLIENT_IDLE,
	CLIENT_OPEN,      /* it writes */
	CLIENT_LEASING,   /* COMMIT is here, but somebody has its file open */
	CLIENT_COMMITTING /* the committer works */
};

struct client {
	struct client *next, **link;
	struct send *send;
	struct loop_source source;
	enum client_state state;
	struct spare spare;
	struct buf envelope;
	unsigned long uid;
	unsigned long qp;
	/* what COMMIT said */
	uint64_t size_bytes;
	bool wants_next;
	int64_t lease_until; /* clock_ms() when it is refused at last */
	int64_t active_at;   /* clock_ms() of the last packet */
	bool is_gone;        /* freed when its commit is done */
	atomic_bool is_closed;
};

/* -- send_client.c */

/* It has no transaction; a stranger's memory is not kept for the next. */
void client_idle(struct client *client);
/* The connection is over; a commit under way is not. */
void client_drop(struct client *client);
/* Frees one that is gone, when nothing works with it any more. */
void client_reap(struct client *client);

/* -- send_intake.c */

/* Reads packets, and does what they say: a loop_source's callback. */
void intake_read(uint32_t events, void *context);
/* The timer for leases that are tried again. */
int intake_timer_open(struct send *send, struct error *err);
void intake_timer_close(struct send *send);

/* -- send_limits.c */

/* What clients of other users may take up. */
enum {
	STRANGERS_OF_A_USER = 32,           /* connections */
	STRANGERS_MAX = 256,                /* all of them */
	STRANGERS_BYTES = 64 * 1024 * 1024, /* of envelopes, all together */
	STRANGERS_RECIPIENTS = 100000,      /* of a message */
	STRANGERS_SPARSE_BYTES = 64 * 1024, /* of holes in a message file */
	CLIENT_IDLE_MS = 3600 * 1000
};

/* What all clients leave, of open files, to deliveries and the committer. */
enum {
	CLIENT_FILES = 3,    /* of a transaction, while it is begun */
	FILES_LEFT_PART = 8, /* one part of so many */
	FILES_LEFT_MAX = 512
};

/*
 * May this number of files be opened for a client, and enough be left?  Only
 * when it seems not are they counted.
 */
bool client_has_files(struct send *send, unsigned wanted);
/* They are counted at the next question. */
void client_recount_files(struct send *send);

/* Root, the queue's user, qmaild. */
bool client_is_trusted(const struct client *client);
/* Has its user, or have all others together, too many connections with it? */
bool client_is_one_too_many(const struct client *client);
/* Would this piece be too much, alone or beside other users' envelopes? */
bool client_is_too_much(const struct client *client, size_t piece_length);
/* Are these too many recipients for one message of it? */
bool client_has_too_many(const struct client *client, size_t recipient_count);
/* Does the file claim far more than it takes, of what it holds or is said to?
 */
bool client_is_sparse(const struct client *client, uint64_t size_bytes);
/* Has it been silent for too long?  Of clock_ms() and time(). */
bool client_is_asleep(const struct client *client, int64_t now_ms, time_t now);

#endif
