/* SPDX-License-Identifier: ISC */
/*
 * Makes deliveries into Maildirs durable, many at once.
 *
 * Files that were written to tmp (mailbox/maildir_file.h) are posted here.  A
 * thread takes what was posted as one group, makes the content of all durable,
 * renames all to new, and makes the renames durable: together with the content
 * of the next group if there is one by then, else at once.  Only then are they
 * done.  While it works the next group gathers, so that groups are as large as
 * there is work, and a single file waits for nothing.
 *
 * Each filesystem has its own groups and its own thread: a slow one holds up
 * nobody else's mail.  A group is synced as is quicker there
 * (mailbox/sync_choice.h): a sync of each file and folder, in parallel, or one
 * syncfs().  What fails for one file is removed and concerns no other; a
 * syncfs() that fails concerns the whole group, since nobody knows whose write
 * it was.
 */
#ifndef MAILBOX_MAILDIR_BATCH_H
#define MAILBOX_MAILDIR_BATCH_H

#include "base/error.h"
#include "mailbox/maildir_file.h"

struct maildir_batch;

/*
 * sync_threads: for each filesystem, besides its own.  wake_fd, an eventfd of
 * the owner's, becomes readable when files are done.  One thread calls all of
 * these.
 */
struct maildir_batch *maildir_batch_new(unsigned sync_threads, int wake_fd);
/* Finishes all that was posted, and calls done for it, before it ends. */
void maildir_batch_free(struct maildir_batch **batch);

/*
 * Prepares for files in maildir.  To be called before each of them is written:
 * a write that fails later is only told to who was there before.  0; or -1 with
 * the reason and errno.
 */
int maildir_batch_prepare(
    struct maildir_batch *batch, struct maildir *maildir, struct error *err);

/*
 * Takes the file until file->done is called, from maildir_batch_reap(); its
 * error_number and error are the result then, and if it is not 0 the file is
 * nowhere any more.
 */
void maildir_batch_post(struct maildir_file *file);

/* No more is to come at once: what was posted need not wait. */
void maildir_batch_start(struct maildir_batch *batch);

/* Calls done for all that are done. */
void maildir_batch_reap(struct maildir_batch *batch);

#endif
