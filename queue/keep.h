/* SPDX-License-Identifier: ISC */
/*
 * The keeper: one thread that does all work on the files of kept messages
 * (docs/queue.md, States), in batches whose syncs run in parallel.
 *
 * Jobs are made, posted and reaped by one thread, the owner (qmail-send's event
 * loop).  Between keep_post() and its done a job belongs to the keeper.  Jobs
 * of one message are done in the order they were posted.
 *
 * done with QQ_OK means that it is durable.  A TODO or REMEMBER that failed has
 * left the message what it was, fresh or S4; others may be done in part, and
 * all can be posted again.
 */
#ifndef QUEUE_KEEP_H
#define QUEUE_KEEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <time.h>

#include "base/buf.h"
#include "base/error.h"
#include "queue/dir.h"

enum keep_type {
	KEEP_TODO, /* fresh -> S4: mess (text[BODY], or it is there), todo */
	/* fresh or S4 -> S5: mess as before, info, local, remote, bounce where
	 * not empty; and todo/ID goes */
	KEEP_REMEMBER,
	/* S5: note to bounce/, then 'D' at marks in channel; retry_at as the
	 * channel file's mtime if not 0; attempt */
	KEEP_MARK,
	/* S5: removes local/ID or remote/ID; not synced before FORGET: one that
	 * comes back is all done */
	KEEP_CHANNEL_END,
	/* S4, S5 -> S1: removes all files; a mess/ID that comes back is S2 */
	KEEP_FORGET,
	/* S2, S3 -> S1, if 36 hours old; not for a message that the owner has
	 * in memory: a large fresh one is mess/ID alone, however old it is */
	KEEP_SWEEP,
	KEEP_TYPE_COUNT
};

enum { KEEP_GARBAGE_S = 129600 };

enum keep_text {
	KEEP_RECORD, /* the todo record, or info's */
	KEEP_LOCAL,
	KEEP_REMOTE,
	KEEP_BOUNCE, /* MARK: a note that is added to bounce/ID */
	KEEP_BODY,
	KEEP_TEXT_COUNT
};

struct keep_job {
	/* set by the owner */
	enum keep_type type;
	uint64_t id;
	struct buf text[KEEP_TEXT_COUNT]; /* freed with the job */
	const struct buf *body;    /* instead of text[KEEP_BODY]: borrowed */
	bool has_file;             /* mess/ID is there, whole and synced, */
	bool has_new_file;         /* but not its name; with has_file */
	enum queue_folder channel; /* QUEUE_LOCAL or QUEUE_REMOTE */
	uint64_t *marks;           /* offsets; freed with the job */
	size_t mark_count;
	/* MARK: tries so far, and where in info/ID its 6 digits are, or 0 */
	unsigned attempt;
	off_t attempt_at;
	/* the same: of what delay the sender was told, if it has a place */
	bool has_told, is_told[2];
	/* mess's (unless has_file) and info's mtime; MARK: with attempt_at */
	time_t birth;
	time_t retry_at[2]; /* local's and remote's mtime; 0: as it is */
	void (*done)(struct keep_job *job, void *context);
	void *context;
	/* set by the keeper */
	bool is_note_kept;      /* MARK: the note is durable, not to be written
				 * again, even if the job fails */
	bool has_other_channel; /* CHANNEL_END: the other one's file is there;
				 * that it cannot be told is a failure */
	int result;             /* enum qq */
	struct error err;
	/* the keeper's own */
	STAILQ_ENTRY(keep_job) in_list;
	int files[KEEP_TEXT_COUNT]; /* opened for this batch, or -1 */
	off_t note_at;     /* where in bounce/ID the note went, or -1 */
	bool is_placed;    /* info/ID, or todo/ID, has its name */
	bool is_todo_away; /* S4's envelope is in pid/ */
	bool has_new_mess; /* mess/ID was made by this job */
	bool is_garbage;   /* SWEEP: it goes */
};

STAILQ_HEAD(keep_jobs, keep_job);

struct keep_job *keep_job_new(enum keep_type type, uint64_t id);
void keep_job_free(struct keep_job **job);

struct keeper;

/* dir is borrowed; wake_fd, an eventfd, becomes readable with jobs done. */
struct keeper *keeper_new(const struct queue_dir *dir, int wake_fd);
/* Finishes all posted jobs, ends the thread; callbacks are run. */
void keeper_free(struct keeper **keeper);

/* Takes the job. */
void keep_post(struct keeper *keeper, struct keep_job *job);
/* Runs the callbacks of finished jobs, each of which frees its job. */
void keep_reap(struct keeper *keeper);

#endif
