/* SPDX-License-Identifier: ISC */
/*
 * The committer: one thread that does all file work of a queue, in batches
 * (docs/queue.md, Group commit).
 *
 * Jobs are made, posted and taken back by one thread, the owner (qmail-send's
 * event loop).  Between commit_post and its done callback a job belongs to the
 * committer.  Jobs of one message are done in the order they were posted.
 */
#ifndef QUEUE_COMMIT_H
#define QUEUE_COMMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "base/buf.h"
#include "base/error.h"
#include "queue/dir.h"
#include "queue/journal.h"
#include "queue/spare.h"

enum commit_type {
	COMMIT_NEW,      /* spare -> S4: spare, size_bytes, text[RECORD],
			  * wants_file */
	COMMIT_FINISH,   /* S4 -> S2, a spare, or S1: spare or -1
			  * descriptors, has_leftovers */
	COMMIT_REMEMBER, /* S4 -> S5: text[RECORD] info, others if not empty */
	COMMIT_MARK,     /* S5: note to bounce/, then 'D' at marks in channel;
			  * retry_at as the channel file's mtime if not 0 */
	COMMIT_CHANNEL_END, /* S5: removes local/ID or remote/ID */
	COMMIT_FORGET,      /* S5 -> S1: removes bounce, info, mess */
	COMMIT_SWEEP,       /* S2, S3 -> S1, if 36 hours old and no spare */
	COMMIT_TYPE_COUNT
};

enum { COMMIT_GARBAGE_S = 129600 };

enum commit_text {
	COMMIT_RECORD, /* the todo record, or info's */
	COMMIT_LOCAL,
	COMMIT_REMOTE,
	COMMIT_BOUNCE, /* a note that is added to bounce/ID */
	COMMIT_TEXT_COUNT
};

struct commit_job {
	/* set by the owner */
	enum commit_type type;
	uint64_t id;
	struct spare spare;
	uint64_t size_bytes;
	struct buf text[COMMIT_TEXT_COUNT];
	enum queue_folder channel; /* QUEUE_LOCAL or QUEUE_REMOTE */
	uint64_t *marks;           /* offsets; freed with the job */
	size_t mark_count;
	bool wants_file;    /* in todo/, without the journal */
	bool has_leftovers; /* info, local, ... of an interrupted S5 */
	time_t birth;       /* info's mtime, for COMMIT_REMEMBER */
	time_t retry_at[2]; /* local's and remote's mtime; 0: as it is */
	void (*done)(struct commit_job *job, void *context);
	void *context;
	/* set by the committer */
	bool is_journaled; /* COMMIT_NEW: in the journal, not in todo/ */
	bool is_note_kept; /* COMMIT_MARK: the note is durable, not to be
			    * written again, even if the job fails */
	int result;        /* enum qq */
	struct error err;
	/* the committer's own */
	struct commit_job *next;
	int files[COMMIT_TEXT_COUNT + 1]; /* opened for this batch, or -1 */
	off_t note_at;            /* where in bounce/ID the note went, or -1 */
	bool needs_folders_first; /* folders that are synced with the contents
				   */
};

struct commit_job *commit_job_new(enum commit_type type, uint64_t id);
void commit_job_free(struct commit_job **job);

struct committer;

/* How it goes; any thread may read. */
struct commit_stats {
	uint32_t latency_us; /* moving average of a batch with new mail; it
			      * fades while there is none (commit_fade) */
	uint32_t batch_x100; /* moving average of its messages, times 100 */
};

/*
 * Starts the thread.  dir, pool and journal (which may be NULL) are borrowed.
 * When jobs are done wake_fd (an eventfd) becomes readable, and the owner calls
 * commit_reap().
 */
struct committer *committer_new(const struct queue_dir *dir,
    struct spare_pool *pool, struct journal *journal, int wake_fd);

/* Finishes all posted jobs, ends the thread; callbacks are run. */
void committer_free(struct committer **committer);

/* Takes the job. */
void commit_post(struct committer *committer, struct commit_job *job);

/* Is new mail with this id on its way: posted, and not reaped yet? */
bool commit_is_new(const struct committer *committer, uint64_t id);

/* Runs the callbacks of finished jobs, each of which frees its job. */
void commit_reap(struct committer *committer);

/*
 * Once a second: without new mail the latency is halved, so that a queue that
 * was slow, and is passed over for it, is tried again.
 */
void commit_fade(struct committer *committer);

void commit_read_stats(
    struct committer *committer, struct commit_stats *stats_out);

#endif
