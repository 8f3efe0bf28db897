/* SPDX-License-Identifier: ISC */
/*
 * Durable deliveries into Maildirs, many at once.
 *
 * First each message is written to its Maildir's tmp (maildir_batch_write),
 * then one commit syncs all files in parallel, renames them to new, and syncs
 * each folder once.  What fails for one message is removed and concerns no
 * other.  Used by one thread.
 */
#ifndef MAILBOX_MAILDIR_BATCH_H
#define MAILBOX_MAILDIR_BATCH_H

#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/error.h"
#include "base/sync_pool.h"
#include "mailbox/maildir.h"

enum { MAILDIR_BATCH_MAX = 128 };

struct maildir_batch;

/* What to deliver: some bytes, then the rest of a file. */
struct maildir_message {
	const struct iovec *parts; /* at most MAILDIR_PARTS_MAX */
	int part_count;
	int fd;       /* copied from offset to its end; -1: nothing more */
	off_t offset; /* the descriptor's own position is not used */
};

enum { MAILDIR_PARTS_MAX = 8 };

/* The pool stays the caller's.  Nothing may wait in a batch that is freed. */
struct maildir_batch *maildir_batch_new(struct sync_pool *pool);
void maildir_batch_free(struct maildir_batch **batch);

/*
 * Writes a message into maildir's tmp.  maildir is borrowed until the commit;
 * the message only for the call.  Returns a slot, the number of the message
 * in this batch; or -1 with the reason and errno, and nothing is left behind.
 * At most MAILDIR_BATCH_MAX messages fit (asserted).
 */
int maildir_batch_write(struct maildir_batch *batch, struct maildir *maildir,
    const struct maildir_message *message, struct error *err);

/* Makes all that was written durable in new, or removes it. */
void maildir_batch_commit(struct maildir_batch *batch);

/*
 * After the commit: 0 when the slot's message is durable in new; -1 when it
 * is not, with the reason and errno.
 */
int maildir_batch_result(
    const struct maildir_batch *batch, int slot, struct error *err);

/* The bytes of the slot's message as stored, valid after write. */
uint64_t maildir_batch_size(const struct maildir_batch *batch, int slot);

/* Forgets the slots: the batch is empty again. */
void maildir_batch_reset(struct maildir_batch *batch);

#endif
