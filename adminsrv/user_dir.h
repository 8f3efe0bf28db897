/* SPDX-License-Identifier: ISC */
/* The folder of a new user, with its Maildir. */
#ifndef ADMINSRV_USER_DIR_H
#define ADMINSRV_USER_DIR_H

#include "adminsrv/result.h"
#include "base/error.h"

/*
 * Makes DIR and DIR/Maildir/{tmp,new,cur} where missing, and the folders above
 * it, all of mode 0700.  Refuses a folder that has any file below it: whatever
 * it is, it is not the new user's.  Not durable yet: see user_dir_sync().
 */
enum admin_result user_dir_make(const char *user_dir, struct error *err);

/* Its two parts. */
enum admin_result user_dir_check_unused(
    const char *user_dir, struct error *err);
enum admin_result user_dir_fill(const char *user_dir, struct error *err);

/* Makes one such folder durable: it, and those up to domain_dir.  0 or -1. */
int user_dir_sync(
    const char *domain_dir, const char *user_dir, struct error *err);

/* The same for all of them at once, when they are many.  0 or -1. */
int user_dir_sync_all(const char *domain_dir, struct error *err);

/*
 * Removes what the user's Maildir remembers of its quota, maildirsize, so that
 * it is made anew for another one.  0 or -1.
 */
int user_dir_forget_size(const char *user_dir, struct error *err);

/*
 * Are there, besides the user's own Maildir, folders of other users in it, or
 * a domain's?  Whatever store knows of them.  1, 0 or -1.
 */
int user_dir_holds_others(const char *user_dir, struct error *err);

/*
 * Renames a user's folder away, where no delivery finds it: into .removed in
 * the domain's folder, or beside it when it is on another filesystem.
 * *aside_out is where it is now, for the caller to free; or NULL when there was
 * no such folder.  0 or -1.
 */
int user_dir_put_aside(const char *domain_dir, const char *user_dir,
    char **aside_out, struct error *err);

/* Removes what was put aside, and what a killed run left so.  0 or -1. */
int user_dir_remove(
    const char *domain_dir, const char *aside, struct error *err);

/* Removes what a killed run left in .removed; if it cannot, a later run may. */
void user_dir_sweep(const char *domain_dir);

#endif
