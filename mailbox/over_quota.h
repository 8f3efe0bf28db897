/* SPDX-License-Identifier: ISC */
/*
 * Which Maildirs were found too full for a message, for who may not look into
 * them: a delivery that refuses leaves a mark, and the SMTP server refuses at
 * RCPT what surely does not fit, instead of a bounce later.
 *
 * The marks are a file of a fixed size (run/overquota), a hash table without
 * chains: a mark may take the place of another Maildir's, which is forgotten.
 * A mark counts for OVER_QUOTA_MARK_S, and as long as the quota is the same; so
 * whoever has removed mail by a program that knows nothing of marks waits that
 * long.  Whatever cannot be read or written is no mark, so nobody is refused
 * for it.  Any number of threads and processes.
 */
#ifndef MAILBOX_OVER_QUOTA_H
#define MAILBOX_OVER_QUOTA_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "mailbox/quota.h"

enum { OVER_QUOTA_MARK_S = 300 };

struct over_quota;

/* NULL when the file is not there, or not for this process. */
struct over_quota *over_quota_open(const char *path, bool is_to_change);
void over_quota_free(struct over_quota **marks);

/*
 * user_dir is the folder that holds the Maildir, as the store gives it.  What
 * follows does nothing, and refuses nothing, with marks NULL.
 *
 * over_quota_set: it holds usage, and a message did not fit; those of up to
 * small_bytes are let in all the same (UINT64_MAX: none is to be refused at
 * RCPT).  now: the wall clock.
 */
void over_quota_set(const struct over_quota *marks, const char *user_dir,
    const struct quota *quota, const struct quota_usage *usage,
    uint64_t small_bytes, time_t now);
/* Is there a mark of that quota? */
bool over_quota_is_known(const struct over_quota *marks, const char *user_dir,
    const struct quota *quota, time_t now);
/* Mail was removed. */
void over_quota_clear(const struct over_quota *marks, const char *user_dir);
/*
 * Would a message of that size surely be refused?  size_bytes 0: it may be as
 * small as one can be.
 */
bool over_quota_refuses(const struct over_quota *marks, const char *user_dir,
    const struct quota *quota, uint64_t size_bytes, time_t now);

/* For an operator's program: who is over quota, and what it was that saw it. */
struct over_quota_user {
	const char *address, *user_dir, *service;
	struct quota quota;
	struct quota_usage usage;
};

/*
 * Runs the program, for ten seconds at most, with the address, bytes and
 * messages kept, and the quota's bytes and messages as its arguments; USER, HOME
 * and SERVICE are in its environment.  Whatever goes wrong is a log line.
 */
void over_quota_run(const char *program, const struct over_quota_user *user);

#endif
