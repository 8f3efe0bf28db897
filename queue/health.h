/* SPDX-License-Identifier: ISC */
/*
 * What a queue says of itself, in a small file, lock/health, which its
 * qmail-send writes and anybody may read (docs/protocol.md).
 *
 * Only qmail-send writes, by pwrite; nobody maps the file.  A reader's copy is
 * whole (a sequence number tells it to read again when it was disturbed) and
 * in range, whatever is in the file.
 */
#ifndef QUEUE_HEALTH_H
#define QUEUE_HEALTH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

enum health_state {
	HEALTH_DOWN,     /* no qmail-send: stopped, or dead */
	HEALTH_STARTING, /* intake is open, the scan of the queue goes on */
	HEALTH_UP,
	HEALTH_STOPPING /* no new mail */
};

struct health {
	enum health_state state;
	pid_t pid;
	int64_t started_at; /* unix time */
	bool is_held_local;
	bool is_held_remote;
	uint64_t backlog;      /* messages accepted and not done */
	uint64_t backlog_todo; /* of these: not yet tried */
	uint64_t accepted;     /* messages since the start */
	uint64_t finished;
	uint64_t delivered; /* recipients since the start */
	uint64_t deferred;
	uint64_t failed;
	uint32_t local_running, local_limit;
	uint32_t remote_running, remote_limit;
	uint32_t commit_latency_us; /* moving average of a group commit */
	uint32_t commit_batch;      /* moving average of its size, times 100 */
	uint64_t free_bytes;        /* of the filesystem, for ordinary users */
	uint32_t workers;           /* delivery workers connected */
	uint32_t lanes_backing_off;
	bool is_journal_full; /* new mail waits for room in the journal */
	uint64_t journal_used_bytes, journal_size_bytes;
	uint64_t damaged; /* messages that cannot be used as they are */
};

/*
 * A copy of what is in the file now, and how old it is, since qmail-send writes
 * at least once a second while it lives.  1; 0 when the queue has never run (no
 * file); -1 with the reason.  Without a copy it is HEALTH_DOWN and of endless
 * age (INT64_MAX), and so is the age of one that another boot has left.
 */
int health_look(const char *queue_dir, struct health *health_out,
    int64_t *age_ms_out, struct error *err);

/* A qmail-send that has said nothing for longer hangs. */
enum { HEALTH_SILENT_MS = 10000 };

/*
 * The same, but a queue whose process does not answer on its intake socket is
 * HEALTH_DOWN whatever the file says.
 */
int health_read_age(const char *queue_dir, struct health *health_out,
    int64_t *age_ms_out, struct error *err);
int health_read(
    const char *queue_dir, struct health *health_out, struct error *err);

/*
 * qmail-send's side: makes the file, and writes to it.  What cannot be written,
 * as on a full disk, is told in the log once and tried again at the next call:
 * mail goes on.  NULL with the reason when the file can never be written.
 */
struct health_file;
struct health_file *health_file_create(
    const char *queue_dir, struct error *err);
void health_file_close(struct health_file **file);
void health_file_publish(struct health_file *file, const struct health *health);

/* "down", "starting", "up", "stopping". */
const char *health_state_name(enum health_state state);

#endif
