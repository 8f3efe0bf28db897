/* SPDX-License-Identifier: ISC */
/*
 * The inside of qmail-send's intake:
 *
 *   send_intake       accepts; hands messages over; questions for UUIDs
 *   send_transaction  what a client has sent of a message, and its checks
 *   send_client       trusted clients, in the event loop
 *   send_stranger     the others, each in a thread
 */
#ifndef QUEUE_SEND_CLIENT_H
#define QUEUE_SEND_CLIENT_H

#include <sys/queue.h>

#include "base/budget.h"
#include "queue/intake_packet.h"
#include "queue/send_body.h"
#include "queue/send_intake.h"

/* What strangers may take up (docs/protocol.md, Intake). */
enum {
	STRANGERS_OF_A_USER = 32,           /* connections */
	STRANGERS_MAX = 256,                /* all of them */
	STRANGERS_BYTES = 64 * 1024 * 1024, /* in memory, all together */
	STRANGERS_BYTES_OF_A_USER = 32 * 1024 * 1024,
	STRANGERS_RECIPIENTS = 100000, /* of a message */
	/* of a connection; and when as many as may be are there, of the oldest,
	 * which makes room for a new one */
	STRANGERS_MS = 3600 * 1000,
	STRANGERS_CROWDED_MS = 60 * 1000
};

/* -- send_transaction.c: any thread, one at a time */

struct transaction {
	uid_t uid;
	bool is_trusted;
	struct buf body; /* while it has no file */
	struct buf envelope;
	uint64_t size_bytes; /* of the body, so far */
	struct body_file *file;
};

/*
 * Adds a packet's pieces.  False when it is more than any client may send.
 * A body that has a file is not written before its owner says so.
 */
bool transaction_add(
    struct transaction *transaction, const struct intake_packet *packet);

/* Gives it a file; it has none yet. */
void transaction_set_file(
    struct transaction *transaction, struct body_file *file);

/*
 * All pieces of it are there, those of COMMIT too: the message, which the
 * caller frees and which has the file's number if there is one (the file stays
 * the transaction's).  Or enum qq, and the reason.
 */
int transaction_end(struct transaction *transaction,
    const struct intake_packet *commit, struct intake_message **message_out,
    struct error *err);

/* Forgets all; the file is removed. */
void transaction_reset(struct transaction *transaction);

/* Sends an ANSWER; false when the client does not read it. */
bool transaction_answer(int fd, uint32_t code, uint64_t id, const char *text);

void intake_message_free(struct intake_message **message);

/* -- send_intake.c: in the loop's thread */

/* A message from its COMMIT to the answer. */
struct handover {
	LIST_ENTRY(handover) in_handovers;
	struct intake *intake; /* NULL: it was closed */
	struct intake_message *message;
	struct body_file *file; /* or NULL */
	/* NULL: nobody waits for it any more */
	void (*answer)(
	    void *context, int result, uint64_t id, const char *text);
	void *context;
};

/* A question for a UUID. */
struct ask {
	LIST_ENTRY(ask) in_asks; /* while it is_waiting */
	bool is_waiting;
	struct uuid uuid;
	void (*answer)(void *context, bool is_known, uint64_t id);
	void *context;
};

struct client;
struct stranger;
struct stranger_room;

struct intake {
	struct send *send;
	struct intake_options options;
	struct loop_source source;
	bool is_stopping;
	bool has_no_foreign_fds; /* the kernel keeps descriptors from us */
	unsigned clients_max, client_count;
	LIST_HEAD(, client) clients;
	LIST_HEAD(, handover) handovers;
	LIST_HEAD(, ask) asks;
	/* send_stranger */
	TAILQ_HEAD(, stranger) strangers; /* in order of arrival */
	unsigned strangers_max, stranger_count;
	struct stranger_room *room;
	struct loop_source calls;
};

/*
 * Has the message submitted when its file, if any, is whole.  Takes message and
 * *file.  answer is called once, perhaps at once; before that *handover_out is
 * what it can be forgotten with.
 */
void intake_hand_over(struct intake *intake, struct intake_message *message,
    struct body_file **file,
    void (*answer)(void *context, int result, uint64_t id, const char *text),
    void *context, struct handover **handover_out);

/* Answers when it is decided, perhaps at once. */
void intake_ask(struct intake *intake, struct ask *ask);
void intake_forget_ask(struct ask *ask);

/* -- send_client.c */

/* Takes the connection. */
void client_new(struct intake *intake, int fd, uid_t uid);
void client_drop(struct client *client);

/* -- send_stranger.c */

int strangers_open(struct intake *intake, struct error *err);
void strangers_close(struct intake *intake);
/* Once a second: ends the connections whose time is over. */
void strangers_tick(struct intake *intake);
/* Takes the connection. */
void stranger_new(struct intake *intake, int fd, uid_t uid);

#endif
