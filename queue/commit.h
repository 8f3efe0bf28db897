/* SPDX-License-Identifier: ISC */
/*
 * The committer: one thread that makes new messages durable in the journal, in
 * batches (docs/queue.md, Group commit), and notes their ends.
 *
 * Jobs are made, posted and reaped by one thread, the owner (qmail-send's event
 * loop).  Between commit_post() and its done a job belongs to the committer.
 * New mail is done in the order in which it was posted; ends may pass it while
 * it waits for room in the journal.
 */
#ifndef QUEUE_COMMIT_H
#define QUEUE_COMMIT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/buf.h"
#include "base/error.h"
#include "queue/dir.h"
#include "queue/journal.h"

enum commit_type {
	COMMIT_NEW, /* message: durable in the journal */
	COMMIT_END  /* message.id, whose NEW is done: it counts no more */
};

/*
 * How long new mail waits for room in a full journal, before it is refused; and
 * how long somebody waits for an end that cannot be written.
 */
enum { COMMIT_FULL_MS = 5000 };

struct commit_job {
	/* set by the owner */
	enum commit_type type;
	/* END: id.  NEW: id, uuid, birth_s, and with has_file size_bytes; the
	 * rest is that of the texts below */
	struct journal_message message;
	struct buf record, body; /* NEW: the job's, and freed with it */
	bool is_waited_for;      /* END: done when durable, or with a failure
				  * when that takes too long: noted it is
				  * then, too; else done when noted */
	bool is_forgotten; /* END, even of what has files: journal_forget() */
	bool has_file; /* END: mess/ID goes when the end is durable, and
			* only then it is done; NEW: the body is in mess/ID,
			* synced, and its name too */
	/* NULL for an END that nobody waits for: commit_flush() frees it */
	void (*done)(struct commit_job *job, void *context);
	void *context;
	/* set by the committer */
	int result; /* enum qq */
	struct error err;
	uint64_t segment; /* NEW: where it is (journal_wanted()) */
	/* the committer's own */
	STAILQ_ENTRY(commit_job) next;
	int64_t posted_at_ms;
};

/* The caller sets what it needs and posts it. */
struct commit_job *commit_job_new(enum commit_type type, uint64_t id);
void commit_job_free(struct commit_job **job);

struct committer;

/* How it goes; any thread may read. */
struct commit_stats {
	uint32_t latency_us; /* moving average of a batch with new mail; it
			      * fades with commit_fade() */
	uint32_t batch_x100; /* moving average of its messages, times 100 */
	bool is_full;        /* new mail waits for room in the journal */
	uint64_t journal_used_bytes, journal_size_bytes;
};

/*
 * Starts the thread; dir and journal are borrowed.  wake_fd, an eventfd,
 * becomes readable when jobs are done, and when commit_wanted() has changed.
 */
struct committer *committer_new(
    const struct queue_dir *dir, struct journal *journal, int wake_fd);

/* Finishes all posted jobs, ends the thread; callbacks are run. */
void committer_free(struct committer **committer);

/*
 * Takes the job.  The thread gets what was posted from commit_flush(), which is
 * called once in a turn of the loop, so that it is woken once for all, and they
 * are one batch.
 */
void commit_post(struct committer *committer, struct commit_job *job);
void commit_flush(struct committer *committer);

/* Runs the callbacks of finished jobs, each of which frees its job. */
void commit_reap(struct committer *committer);

/* Of the committer's journal: journal_wanted(), as last seen. */
uint64_t commit_wanted(const struct committer *committer);

/*
 * Once a second: without new mail the latency is halved, so that a queue that
 * was slow, and is passed over for it, is tried again.
 */
void commit_fade(struct committer *committer);

void commit_read_stats(
    const struct committer *committer, struct commit_stats *stats_out);

#endif
