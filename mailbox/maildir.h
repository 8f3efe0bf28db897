/* SPDX-License-Identifier: ISC */
/*
 * One Maildir: its folders, opened or made, and unique names in them.
 *
 * Everything is opened relative to a folder already open, and no symbolic
 * link is followed, so that what is written lands where it was meant to.
 */
#ifndef MAILBOX_MAILDIR_H
#define MAILBOX_MAILDIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "base/error.h"
#include "mailbox/quota.h"

struct maildir_line;

/* Open folders.  All three descriptors are the struct's. */
struct maildir {
	int dir_fd; /* the Maildir itself; its parent is the user's folder */
	int tmp_fd;
	int new_fd;
	dev_t dev; /* the filesystem of tmp */

	/* of mailbox/maildir_batch.c */
	struct maildir_line *line; /* its filesystem's; NULL: not known yet */
	uint64_t sync_number;      /* the last group that synced new ... */
	size_t sync_job;           /* ... as which job of it */

	/* of whoever delivers, until it is closed */
	struct timespec plain_since;  /* the user's folder when it had no mark
				       * of special deliveries; 0: unknown */
	struct quota_usage waiting;   /* on its way into the Maildir */
	struct quota_usage delivered; /* there, but not in maildirsize yet */
	enum {
		MAILDIR_WARNED_UNKNOWN,
		MAILDIR_NOT_WARNED,
		MAILDIR_WARNED
	} warned;                     /* that it is nearly full */
	bool is_counting;             /* its size is to be found out anew ... */
	bool is_count_running;        /* ... just now */
	int64_t count_again_at_ms;    /* clock_ms(): not before */
};

#define MAILDIR_INIT                                     \
	{                                                \
		.dir_fd = -1, .tmp_fd = -1, .new_fd = -1 \
	}

/*
 * Opens the Maildir called name in parent_fd.  What is missing of it (the
 * whole, tmp, new, cur) is made as control/layout.tbl says, durably.  Returns
 * 0; or -1 with the reason and errno, the struct as by MAILDIR_INIT.
 */
int maildir_open(int parent_fd, const char *name, struct maildir *maildir_out,
    struct error *err);
void maildir_release(struct maildir *maildir); /* errno stays */

/*
 * Puts the Maildir's path in front of a reason that names a file in it; errno
 * stays.
 */
void maildir_context(const struct maildir *maildir, struct error *err);

/*
 * Opens the folder at path, relative to root_fd, one component after the
 * other without following symbolic links.  Empty, "." and ".." components are
 * refused (EINVAL).  Returns a descriptor that the caller closes, or -1 with
 * errno.
 */
int maildir_open_beneath(int root_fd, const char *path);

enum { MAILDIR_NAME_SIZE = 200, MAILDIR_HOST_SIZE = 100 };

/*
 * A name as it may be a part of file names: '/', ':' and ',' in octal, as the
 * Maildir convention asks, and cut if it is longer.
 */
void maildir_escape(const char *name, char *out, size_t size);

/* This host's name, escaped. */
void maildir_host(char out[MAILDIR_HOST_SIZE]);

/*
 * Makes a name never given out before: SECONDS.MmicrosPpidQcount.HOST.  Any
 * thread may call it.
 */
void maildir_make_name(char out[MAILDIR_NAME_SIZE], const char *host);

#endif
