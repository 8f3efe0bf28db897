/* SPDX-License-Identifier: ISC */
/*
 * One domain's users, opened to be changed, in whichever store they are: the
 * files of the domain's folder, or the database (setting userstore).
 *
 * While it is open the domain is locked, and root acts as the domain's owner.
 * Every function that changes something ends with the users in place and
 * durable, or leaves them as they were; the folders that a failed users_add()
 * made are taken over by the next one.
 */
#ifndef ADMINSRV_USERS_H
#define ADMINSRV_USERS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "adminsrv/result.h"
#include "base/error.h"
#include "lookupd/store.h"
#include "lookupd/vpasswd.h"

struct users;

/*
 * Looks up a virtual domain, by its own name or an alias's.  The caller
 * releases *domain_out after ADMIN_OK.
 */
enum admin_result users_find_domain(const char *home_root, const char *domain,
    struct store_domain *domain_out, struct error *err);

/* Which store; by the setting, unless a command is about both. */
enum users_store { USERS_BY_SETTING, USERS_CDB, USERS_PGSQL };

/* Where a domain's users are. */
struct users_at {
	const char *control_dir; /* the settings; NULL: none, so the files */
	const char *domain;      /* the real name */
	const char *dir;
	uid_t uid;
	gid_t gid;
	enum users_store store;
	bool as_we_are; /* to look at: root does not act as the owner */
};

/*
 * Locks and loads a domain's users, and first makes the cdb again when a killed
 * run left it behind the text.  is_new: there may be no users yet.
 */
enum admin_result users_open(const struct users_at *at, bool is_new,
    struct users **users_out, struct error *err);
/* Only to look: takes no lock, and reads where readers do. */
enum admin_result users_open_to_read(
    const struct users_at *at, struct users **users_out, struct error *err);
void users_close(struct users **users);

/* Refused when a user's quota cannot be read; then makes the cdb again. */
enum admin_result users_compile(const struct users_at *at, struct error *err);

/* users_open() of the domain of that name, or alias; ADMIN_REFUSED: none. */
enum admin_result users_open_named(const char *home_root, const char *domain,
    struct users **users_out, struct error *err);

/*
 * Borrowed until a user is changed, or the users are closed; ADMIN_REFUSED: no
 * such user.
 */
enum admin_result users_find(struct users *users, const char *name,
    const struct vpasswd_entry **entry_out, struct error *err);

/*
 * Goes through all users, from the first after users_rewind(): 1 and the next,
 * borrowed until the one after it is asked for; 0 behind the last; -1.
 */
void users_rewind(struct users *users);
int users_next(struct users *users, const struct vpasswd_entry **entry_out,
    struct error *err);

struct users_new {
	const char *name; /* checked by names_check_new_user() */
	const char *hash;
	const char *gecos;
	const char *quota; /* as quota_text_read() gives it */
	unsigned flags;    /* enum store_flag */
	unsigned uid_flags;
	const char *scram, *secret; /* or NULL */
};

struct progress;
/* Who is told as users_add() makes folders; NULL: nobody.  Borrowed. */
void users_set_progress(struct users *users, struct progress *progress);

/* Adds all, with their Maildirs, in one step; or none. */
enum admin_result users_add(struct users *users, const struct users_new *new,
    size_t count, struct error *err);

/*
 * Adds users as they are, or makes those who are there so; their folders are
 * there, or are another's matter: for users who come from another store.  All
 * or none.
 */
enum admin_result users_put(struct users *users,
    const struct vpasswd_entry *entries, size_t count, struct error *err);

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
