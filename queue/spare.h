/* SPDX-License-Identifier: ISC */
/*
 * The spare files of a queue: pairs of a message file mess/S/ID and an envelope
 * file pid/ID.e, waiting to serve (docs/queue.md, Spare files).
 *
 * A pool may be used by any thread; a pair belongs to whoever took it.
 */
#ifndef QUEUE_SPARE_H
#define QUEUE_SPARE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "queue/dir.h"

enum { SPARE_MAX_BYTES = 128 * 1024 };

/* Both descriptors are open for reading and writing. */
struct spare {
	uint64_t id; /* the inode of the message file */
	int mess_fd;
	int envelope_fd;
	bool is_named; /* the name mess/S/ID is durable */
};

struct spare_pool;

/* The pool borrows dir.  At most max pairs wait in it. */
struct spare_pool *spare_pool_new(const struct queue_dir *dir, unsigned max);
void spare_pool_free(struct spare_pool **pool);

/*
 * Takes up pairs that an earlier process left, and removes other files in
 * pid/ that are older than 36 hours.  For the start only, with the queue's
 * lock held.
 */
int spare_pool_adopt(struct spare_pool *pool, struct error *err);

/* A pair, waiting or newly made.  0 or -1 with the reason. */
int spare_take(
    struct spare_pool *pool, struct spare *spare_out, struct error *err);

/*
 * Gives a pair back that has no name in todo/ or info/, nor can get an old one
 * back (the rule).  A pair that somebody else has open, that is large, that
 * has lost a name or got one more, or that is too many, is unlinked.
 */
void spare_give(struct spare_pool *pool, struct spare *spare);

/* Unlinks both files of a pair, under the same rule; closes what is open. */
void spare_discard(struct spare_pool *pool, struct spare *spare);

/* Closes both descriptors, which may be -1 already. */
void spare_close(struct spare *spare);

/*
 * Does nobody but this descriptor have the file open?  Shown by a write lease;
 * 1 yes, 0 no, -1 the filesystem has no leases.
 */
int spare_is_unshared(int fd);

/*
 * Before a new file with the inode id is named in mess/: removes, durably, what
 * other files of that number outlived their message.  0 or -1 with the reason,
 * also when another file has the name, as in a queue that was copied.
 */
int spare_remove_strays(
    const struct queue_dir *dir, uint64_t id, struct error *err);

/* The envelope file's name in pid/. */
void spare_envelope_name(char name_out[QUEUE_NAME_SIZE], uint64_t id);

/* No pair. */
#define SPARE_NONE                                        \
	{                                                 \
		.id = 0, .mess_fd = -1, .envelope_fd = -1 \
	}

#endif
