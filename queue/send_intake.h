/* SPDX-License-Identifier: ISC */
/*
 * The intake of qmail-send: who listens on lock/intake and gathers new mail
 * (docs/protocol.md, Intake), until a message is whole.
 *
 * Trusted clients (root, the queue's user, qmaild) are served by the event
 * loop, which does no disk I/O here: bodies too large for the journal are
 * written by a pool of threads.  Every other client has a thread of its own,
 * which does nothing to the loop but ask it short questions.
 */
#ifndef QUEUE_SEND_INTAKE_H
#define QUEUE_SEND_INTAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/loop.h"
#include "base/uuid.h"
#include "base/work_pool.h"
#include "queue/dir.h"

struct send;
struct intake;

/* -- what qmail-send does with a whole message: send_message.c */

/*
 * A whole transaction.  Allocated by the intake; belongs to intake_submit()
 * until done, which frees it, with what is left in record and body.
 */
struct intake_message {
	struct uuid uuid; /* bound to the user for strangers */
	uid_t uid;
	unsigned long qp;
	struct buf record; /* todo record (with u, p, UUID), checked by
			    * envelope_parse */
	struct buf body;   /* or, has_file: written and synced in mess/ID */
	uint64_t id;       /* with has_file: intake_next_id() gave it */
	uint64_t size_bytes;
	bool has_file;
	bool is_import;
	/*
	 * Once, in the loop's thread: result is enum qq; id is the message's
	 * (an older one's, when the UUID was known).  With another result than
	 * QQ_OK, or another id, mess/ID of has_file is the intake's to remove.
	 */
	void (*done)(struct intake_message *message, int result, uint64_t id,
	    const char *text);
	void *context;
};

/* May call done at once.  The file of has_file is its to remove, too. */
void intake_submit(struct send *send, struct intake_message *message);

enum intake_known {
	INTAKE_UNKNOWN,
	INTAKE_UNSURE,  /* todo/ may have it, from before a kill */
	INTAKE_PENDING, /* submitted, and not done yet */
	INTAKE_KNOWN
};

/* Was a message of this UUID committed?  *id_out is set when it is known. */
enum intake_known intake_find(
    struct send *send, const struct uuid *uuid, uint64_t *id_out);

uint64_t intake_next_id(struct send *send);

/*
 * An operator's word (OPERATE) that is not answered yet: send_operate.c.  Whose
 * client has gone sets answer to NULL.
 */
struct operation {
	void (*answer)(
	    void *context, uint32_t code, uint64_t id, const char *text);
	void *context;
};

/*
 * Carries out what uid, who may, wants.  answer is called once, perhaps before
 * this returns, and *operation_out is set before that.
 */
struct intake_packet;
void intake_operate(struct send *send, const struct intake_packet *packet,
    uid_t uid,
    void (*answer)(void *context, uint32_t code, uint64_t id, const char *text),
    void *context, struct operation **operation_out);

/* -- the intake */

struct intake_options {
	struct loop *loop;
	const struct queue_dir *dir;
	struct work_pool *bodies; /* writes large ones */
	uid_t smtpd_uid;          /* trusted, besides root and our own user */
	size_t body_max_bytes;    /* a larger body gets a file */
};

/*
 * Listens.  loop and dir are borrowed until intake_close(), and dir longer:
 * until that pool is freed.
 */
struct intake *intake_open(
    struct send *send, const struct intake_options *options, struct error *err);

/* Strangers' mail leaves so much of the filesystem free; at first 0. */
void intake_set_min_free(struct intake *intake, uint64_t bytes);

/*
 * From now on nothing new is taken, and nobody is there for new clients, so
 * that qmail-queue writes files; what was to be committed still is.
 */
void intake_stop(struct intake *intake);
/* Is all over that was to be committed? */
bool intake_is_idle(const struct intake *intake);

/*
 * Ends all connections.  Messages that were submitted may be done later.  The
 * process may have to end with threads of strangers' in it.
 */
void intake_close(struct intake **intake);

/* Once a second: accepts again after trouble. */
void intake_tick(struct intake *intake);

#endif
