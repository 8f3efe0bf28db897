/* SPDX-License-Identifier: ISC */
/* The folder of a new user, with its Maildir. */
#ifndef ADMINSRV_MAILDIR_MAKE_H
#define ADMINSRV_MAILDIR_MAKE_H

#include "adminsrv/result.h"
#include "base/error.h"

/*
 * Makes DIR and DIR/Maildir/{tmp,new,cur} where missing, and the folders above
 * it, all of mode 0700.  Refuses a folder that has any file below it: whatever
 * it is, it is not the new user's.  Not durable yet: see maildir_sync().
 */
enum admin_result maildir_make(const char *user_dir, struct error *err);

/* Makes one such folder durable: it, and those up to domain_dir.  0 or -1. */
int maildir_sync(
    const char *domain_dir, const char *user_dir, struct error *err);

/* The same for all of them at once, when they are many.  0 or -1. */
int maildir_sync_all(const char *domain_dir, struct error *err);

/*
 * Removes a user's folder and all in it.  It is renamed first, so that no
 * delivery finds it any more.  One that does not exist is removed.  0 or -1.
 */
int maildir_remove(const char *user_dir, struct error *err);

#endif
