/* SPDX-License-Identifier: ISC */
/*
 * One domain's users, opened to be changed.
 *
 * While it is open the domain is locked, and root acts as the domain's owner.
 * Every function that changes something ends with the files in place and
 * durable, or leaves them as they were; the folders that a failed users_add()
 * made are taken over by the next one.
 */
#ifndef ADMINSRV_USERS_H
#define ADMINSRV_USERS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "adminsrv/result.h"
#include "adminsrv/vpasswd_file.h"
#include "base/error.h"
#include "lookupd/store.h"

struct users;

/*
 * Looks up a virtual domain, by its own name or an alias's.  The caller
 * releases *domain_out after ADMIN_OK.
 */
enum admin_result users_find_domain(const char *home_root, const char *domain,
    struct store_domain *domain_out, struct error *err);

/*
 * Locks and loads the users of the domain in the folder, and first makes the
 * cdb again when a killed run left it behind the text.  is_new: there may be
 * no vpasswd yet.
 */
enum admin_result users_open(const char *domain_dir, uid_t uid, gid_t gid,
    bool is_new, struct users **users_out, struct error *err);
void users_close(struct users **users);

/*
 * Makes the cdb again from the text of the domain in the folder.  Refused when
 * a user's quota cannot be read.
 */
enum admin_result users_compile(
    const char *domain_dir, uid_t uid, gid_t gid, struct error *err);

/* users_open() of the domain of that name, or alias; ADMIN_REFUSED: none. */
enum admin_result users_open_named(const char *home_root, const char *domain,
    struct users **users_out, struct error *err);

/* Borrowed until the user is changed; ADMIN_REFUSED: no such user. */
enum admin_result users_find(const struct users *users, const char *name,
    const struct vpasswd_entry **entry_out, struct error *err);

/* Borrowed, to look at. */
const struct vpasswd_file *users_file(const struct users *users);

struct users_new {
	const char *name; /* checked by names_check_new_user() */
	const char *hash;
	const char *gecos;
	const char *quota; /* as quota_text_read() gives it */
	unsigned flags;    /* enum store_flag */
};

/* Adds all, with their Maildirs, in one step; or none. */
enum admin_result users_add(struct users *users, const struct users_new *new,
    size_t count, struct error *err);

/* Replaces the user that has the entry's name, which must exist. */
enum admin_result users_change(
    struct users *users, const struct vpasswd_entry *entry, struct error *err);

/*
 * Removes a user and the user's mail: from then on deliveries bounce.  What is
 * left of the mail after a crash the next users_open() takes away.
 */
enum admin_result users_remove(
    struct users *users, const char *name, struct error *err);

#endif
