/* SPDX-License-Identifier: ISC */
/*
 * A message body too large for the journal, on its way to mess/S/ID.
 *
 * One piece of work at a time makes, writes, syncs or removes the file, in the
 * work pool, or at once in the owner's thread if that may wait.
 */
#ifndef QUEUE_SEND_BODY_H
#define QUEUE_SEND_BODY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/work_pool.h"
#include "queue/dir.h"

struct body_file {
	struct work work; /* first: it is what the pool knows */
	const struct queue_dir *dir;
	struct work_pool *pool;
	uint64_t id;
	/* the owner's */
	struct buf waiting; /* to be written next */
	bool is_running;    /* the pool works */
	bool is_whole;      /* nothing more will come: to be synced */
	bool is_unwanted;   /* to be removed, and freed */
	/* after each piece of work of the pool; may be NULL */
	void (*changed)(struct body_file *file, void *context);
	void *context;
	/* the pool's while is_running, else the owner's */
	struct buf chunk;
	bool is_last;   /* the file is synced behind this chunk */
	int fd;         /* -1 before and after */
	int folder_fd;  /* the same; for the sync of its name */
	bool is_made;   /* the file is ours */
	bool is_synced; /* all is there, durably, its name too */
	int result;     /* enum qq; after a failure nothing is written */
	struct error err;
};

struct body_file *body_file_new(
    const struct queue_dir *dir, struct work_pool *pool, uint64_t id);
/* The file stays as it is.  Not while it is running. */
void body_file_free(struct body_file **file);

/* Has the pool do what is to be done, if anything, one thing after another. */
void body_file_post(struct body_file *file);
/* Does it here, while no pool does. */
void body_file_run(struct body_file *file);

/* Has the pool remove and free it, whatever is going on.  Takes it. */
void body_file_remove(struct body_file **file);
/* The same here, while no pool has it. */
void body_file_discard(struct body_file **file);

#endif
