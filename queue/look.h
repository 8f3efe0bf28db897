/* SPDX-License-Identifier: ISC */
/*
 * Looking into queues while their qmail-send works: which there are, how many
 * messages one holds, and what they are.  Queue tools and svctool use this, so
 * that all say the same.
 */
#ifndef QUEUE_LOOK_H
#define QUEUE_LOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/strlist.h"
#include "base/uuid.h"
#include "queue/dir.h"

/*
 * Adds the paths of queues: QUEUEDIR alone when it is set, else the collection
 * of queue_base, queue_start and queue_count.  program names the reader of
 * these settings.  0, or -1 with the reason.
 */
int look_open(const char *program, struct strlist *paths, struct error *err);

/*
 * Opens one queue.  NULL with the reason, which for lack of permission says
 * who may look.
 */
struct queue_dir *look_queue(const char *path, struct error *err);

/*
 * Calls visit for each file of a folder that is called by a number, until it
 * returns something else than 0, which is then the result.  part is for the
 * split folders.  -1 with the reason when the folder cannot be listed.
 */
int look_folder(const struct queue_dir *dir, enum queue_folder folder,
    unsigned part, int (*visit)(uint64_t id, void *context), void *context,
    struct error *err);

/* The states of docs/queue.md; the last two are kept. */
enum look_state { LOOK_FRESH, LOOK_QUEUED, LOOK_REMEMBERED };

struct look_recipient {
	const char *address;
	/* QUEUE_LOCAL or QUEUE_REMOTE; QUEUE_TODO: not routed, or not known */
	enum queue_folder channel;
	bool is_done;
	uint64_t offset; /* of its mark, in S5 */
	const char *dsn; /* its parameters (queue/dsn.h), or "" */
};

/* One message.  Texts and recipients are valid during the call. */
struct look_message {
	uint64_t id;
	struct uuid uuid; /* none: of another system's qmail-queue */
	enum look_state state;
	time_t birth;
	uint64_t size_bytes;
	unsigned attempt; /* tries so far */
	bool is_bouncing; /* a recipient has failed, and the sender will hear */
	bool is_held;     /* an operator holds it */
	const char
	    *moving_to;    /* a queue, by a move that is not over; or NULL */
	time_t retry_at;   /* of the recipients that are due first; or 0 */
	/* until when its sender wants it to be held; 0: that is over */
	time_t hold_until;
	const char *notes; /* of what has failed, as in bounce/ID; or "" */
	const char *header, *dsn; /* its extra header and parameters, or "" */
	const char *body;         /* in the journal; NULL: it is mess/ID */
	const char *sender;
	const struct look_recipient *recipients;
	size_t recipient_count;
	/* NULL, or why it cannot be delivered as it is: then what is above is
	 * only what could be read */
	const char *problem;
};

/* How many messages a queue holds: acknowledged, and not over. */
struct look_count {
	uint64_t messages;
	uint64_t fresh;            /* of these: in the journal alone */
	uint64_t not_preprocessed; /* of these: fresh, or in todo/ */
	/* files of lock/ that are kept for people: perhaps they hold mail, and
	 * no program can tell */
	uint64_t aside;
};

/*
 * Calls visit for each message, the fresh ones last, until it returns false; a
 * message that comes or ends meanwhile may be left out.  0; -1 with the reason
 * when a folder or the journal cannot be read, or the journal is damaged: what
 * can be read was shown.
 */
typedef bool look_visit(const struct look_message *message, void *context);
int look_messages(const struct queue_dir *dir, look_visit *visit, void *context,
    struct error *err);

/*
 * Reads the first bytes of a message's body from mess/ID.  1; 0: there is no
 * such file any more; -1 with the reason.
 */
int look_read_body(const struct queue_dir *dir, uint64_t id, size_t max_bytes,
    struct buf *body, struct error *err);

/* Only counts.  The same results; count_out is what could be counted. */
int look_count(const struct queue_dir *dir, struct look_count *count_out,
    struct error *err);

/*
 * Is there anything that no program of ours gives a name, where messages lie?
 * 1 with its path in the queue, for the caller to free; 0; -1 with the reason.
 */
int look_stranger(
    const struct queue_dir *dir, char **path_out, struct error *err);

/* Which messages cannot be delivered as they are. */
enum { LOOK_DAMAGE_IDS = 5 };
struct look_damage {
	uint64_t count;
	uint64_t ids[LOOK_DAMAGE_IDS]; /* the first ones found */
	unsigned id_count;
	bool is_whole; /* all messages were looked at */
};

/*
 * Looks at messages_max messages, and counts all, unless count_out is NULL.  A
 * queue that is up is asked for its count itself, and its journal need not be
 * read: what cannot be used there gets files in seconds.  The results of
 * look_messages(); damage_out is what was found.
 */
enum look_where { LOOK_EVERYWHERE, LOOK_IN_FILES };
int look_damage(const struct queue_dir *dir, enum look_where where,
    uint64_t messages_max, struct look_damage *damage_out,
    struct look_count *count_out, struct error *err);
/* "12, 15 and 3 more" */
void look_damage_format(const struct look_damage *damage, struct buf *buf);

#endif
