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
#include <stdint.h>
#include <sys/types.h>

#include "adminsrv/placement.h"
#include "adminsrv/result.h"
#include "base/error.h"
#include "control/home.h"
#include "lookupd/store.h"
#include "lookupd/vpasswd.h"

struct users;

/*
 * Looks up a virtual domain, by its own name or an alias's.  The caller
 * releases *domain_out after ADMIN_OK.
 */
enum admin_result users_find_domain(const char *home_root, const char *domain,
    struct store_domain *domain_out, struct error *err);

/* The real domain's name and folder; valid as long as it is open. */
const char *users_domain(const struct users *users);
const char *users_dir(const struct users *users);

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
	bool is_leaving; /* the domain goes: what a database has of it, if
			  * anything, is as it was kept */
};

/* Those of a domain that was found; its texts are borrowed. */
struct users_at users_at(
    const struct home *home, const struct store_domain *domain);

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

/* Where the folders of new users go (adminsrv/homes.h), instead of the usual.
 */
void users_set_base(struct users *users, const char *base);

/*
 * Of a clustered domain: which store new users get, and that work of other
 * nodes is not waited for.  The texts are borrowed.
 */
void users_set_wish(
    struct users *users, const struct place_wish *wish, bool no_wait);
bool users_is_clustered(const struct users *users);
/* Where a user of a clustered domain is.  1, and the caller releases; 0; -1. */
int users_find_place(struct users *users, const char *name,
    struct place *place_out, struct error *err);

/* The stores that have users of a clustered domain: "NAME NODE USERS"; "-" of
 * none.  0 or -1. */
int users_list_stores(
    struct users *users, struct strlist *stores, struct error *err);

/* How many users there are but the postmaster.  0 or -1. */
int users_count(struct users *users, uint64_t *count_out, struct error *err);

/*
 * Adds all, with their Maildirs, in one step; or none.  Refused when the
 * domain's limits do not allow so many.
 */
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

/* As quota_text_read() gives it; the Maildir's size is to be found anew. */
enum admin_result users_set_quota(struct users *users, const char *name,
    const char *quota, struct error *err);

/*
 * Gives a user another name, and the folder too if it has the old one.  A
 * killed run leaves the user as before, but with the folder renamed already:
 * mail waits until the same is run again.  ADMIN_REFUSED: there is such a user.
 */
enum admin_result users_rename(struct users *users, const char *name,
    const char *new_name, struct error *err);

/*
 * Moves a user's folder to new_dir, also to another filesystem; mail waits
 * during the last part of it.  What a killed run left the same again ends.
 */
enum admin_result users_move(struct users *users, const char *name,
    const char *new_dir, struct error *err);

/*
 * Of users in files: those who have their folders below dir have them below
 * new_dir, where they are already.
 */
enum admin_result users_move_all(struct users *users, const char *dir,
    const char *new_dir, struct error *err);

/*
 * Removes the folders that users have outside of the domain's folder; the users
 * stay, for a domain that goes with them.
 */
enum admin_result users_remove_outside(struct users *users, struct error *err);

/*
 * Removes a user and the user's mail: from then on deliveries bounce.  What is
 * left of the mail after a crash the next users_open() takes away.
 */
enum admin_result users_remove(
    struct users *users, const char *name, struct error *err);

#endif
