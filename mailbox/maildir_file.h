/* SPDX-License-Identifier: ISC */
/*
 * One message on its way into a Maildir: a file in tmp, then in new.
 *
 * Its name is chosen by who delivers, and the same for every try, so what an
 * earlier try left is replaced: in tmp, if nobody writes it any more, and in
 * new.  While it is written the file is locked (flock), so that two processes
 * that deliver the same message never write to one file.
 */
#ifndef MAILBOX_MAILDIR_FILE_H
#define MAILBOX_MAILDIR_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/error.h"
#include "mailbox/maildir.h"

enum maildir_place {
	MAILDIR_NOWHERE,
	MAILDIR_TMP,
	MAILDIR_NEW /* durable once the folder is synced */
};

struct maildir_file {
	struct maildir *maildir;      /* borrowed until the file is done */
	char name[MAILDIR_NAME_SIZE]; /* in tmp; in new its size is added */
	enum maildir_place place;
	int fd; /* while it is in tmp */
	uint64_t size_bytes;
	bool is_synced;    /* its content is durable */
	bool has_replaced; /* in new, one that was there before */

	/* of mailbox/maildir_batch.h */
	/*
	 * May it be seen?  Asked in the batch's thread, right before the rename;
	 * NULL: it may.  False with the reason, and the file is given up.
	 */
	bool (*may_publish)(
	    const struct maildir_file *file, struct error *err);
	void (*done)(struct maildir_file *file);
	STAILQ_ENTRY(maildir_file) next;
	size_t sync_job;
	int error_number; /* result: 0 when it is durable in new */
	struct error error;
};

/*
 * Creates the file in maildir's tmp.  0; or -1 with the reason and errno
 * (EWOULDBLOCK: another process delivers the same just now).  The file is
 * nowhere then.
 */
int maildir_file_create(struct maildir_file *file, struct maildir *maildir,
    const char *name, struct error *err);

/* Adds all parts, of which there are at most MAILDIR_PARTS_MAX.  0 or -1. */
int maildir_file_add(struct maildir_file *file, const struct iovec *parts,
    int part_count, struct error *err);
enum { MAILDIR_PARTS_MAX = 8 };

/*
 * For large ones.  Has the disk take what was added up to now, so that no
 * other's sync has to wait for much of it; and makes all of it durable.
 */
int maildir_file_flush(struct maildir_file *file, struct error *err);
int maildir_file_sync(struct maildir_file *file, struct error *err);

/* Is there a file in new that this one would replace?  (By name and size.) */
bool maildir_is_in_new(
    const struct maildir *maildir, const char *name, uint64_t size_bytes);

/*
 * Renames the file, whose content is durable, to new.  0; or -1 with the
 * reason and errno, and it stays in tmp.
 */
int maildir_file_publish(struct maildir_file *file, struct error *err);

/* Removes the file from where it is; errno stays. */
void maildir_file_discard(struct maildir_file *file);

#endif
