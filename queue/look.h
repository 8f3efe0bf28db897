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
#include "base/uuid.h"
#include "queue/dir.h"

/* Paths of queues. */
struct look {
	char **paths;
	unsigned count;
};

/*
 * QUEUEDIR alone when it is set, else the collection of queue_base, queue_start
 * and queue_count.  program names the reader of these settings.  0, and the
 * caller releases; or -1 with the reason.
 */
int look_open(const char *program, struct look *look_out, struct error *err);
void look_release(struct look *look);

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

/* How many messages a queue holds: acknowledged, and not over. */
struct look_count {
	uint64_t messages;
	uint64_t fresh;            /* of these: in the journal alone */
	uint64_t not_preprocessed; /* of these: fresh, or in todo/ */
	/* what perhaps holds mail, and no program can tell */
	uint64_t aside; /* files of lock/ that are kept for people */
	bool has_damaged_journal;
};

/* 0, or -1 with the reason. */
int look_count(const struct queue_dir *dir, struct look_count *count_out,
    struct error *err);

/* Says that the journal is of an older release and holds mail.  Always -1. */
int look_old_journal(const struct queue_dir *dir, struct error *err);

/*
 * Is something of the journal lost?  What is being written looks so, too, and
 * a running qmail-send needs nothing of it.
 */
struct journal_view;
bool look_is_damaged(
    const struct queue_dir *dir, const struct journal_view *view);

/*
 * Has a message that local/ID or remote/ID was found of, but no info/ID, lost
 * that?  One in pid/ is just being kept, one without mess/ID is over.
 */
bool look_is_headless(const struct queue_dir *dir, uint64_t id);

/* The states of docs/queue.md; the last two are kept. */
enum look_state { LOOK_FRESH, LOOK_QUEUED, LOOK_REMEMBERED };

struct look_recipient {
	const char *address;
	/* QUEUE_LOCAL or QUEUE_REMOTE; QUEUE_TODO: not routed, or not known */
	enum queue_folder channel;
	bool is_done;
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
	const char *sender;
	const struct look_recipient *recipients;
	size_t recipient_count;
	/* NULL, or why it cannot be delivered as it is: then what is above is
	 * only what could be read */
	const char *problem;
};

/*
 * Calls visit for each message until it returns something else than 0, which
 * is then the result: the fresh ones last.  A message that comes or ends
 * meanwhile may be left out.  -1 with the reason when a folder or the journal
 * cannot be read; what can be was shown.
 */
int look_messages(const struct queue_dir *dir,
    int (*visit)(const struct look_message *message, void *context),
    void *context, struct error *err);

/* Which messages cannot be delivered as they are. */
enum { LOOK_DAMAGE_IDS = 5 };
struct look_damage {
	uint64_t count;
	uint64_t ids[LOOK_DAMAGE_IDS]; /* the first ones found */
	unsigned id_count;
	bool is_whole; /* all messages were looked at */
};

/*
 * Looks at messages_max messages.  0, or -1 with the reason when a folder or
 * the journal cannot be read; damage_out is what was found until then.
 */
int look_damage(const struct queue_dir *dir, uint64_t messages_max,
    struct look_damage *damage_out, struct error *err);
/* "12, 15 and 3 more" */
void look_damage_format(const struct look_damage *damage, struct buf *buf);

#endif
