/* SPDX-License-Identifier: ISC */
/*
 * What a store of a domain's users does for users.c; for the backends only
 * (users_cdb.c, users_pg.c).
 *
 * users.c has the domain's lock, acts as its owner, and makes and removes the
 * users' folders.
 */
#ifndef ADMINSRV_USERS_BACKEND_H
#define ADMINSRV_USERS_BACKEND_H

#include <string.h>

#include "adminsrv/dirhash.h"
#include "adminsrv/placement.h"
#include "adminsrv/users.h"
#include "lookupd/pg.h"

struct users {
	const struct users_backend *backend;
	char *domain; /* the real name */
	char *dir;
	char *control_dir; /* or NULL */
	char *base;        /* of new users' folders, or NULL: as usual */
	int lock_fd;       /* -1: opened to be read */
	bool completes;    /* what a killed run left half done */
	bool is_entered;   /* we act as the owner */
	bool is_leaving;   /* as of struct users_at */
	bool is_clustered; /* users are in stores (adminsrv/placement.h) */
	struct buf own_node; /* "": in no cluster */
	struct place_wish wish;
	bool no_wait;
	void *state;       /* the backend's own */
	struct progress *progress; /* or NULL */
};

struct records_backend;

struct users_backend {
	const struct records_backend *records;
	/* is_new: there may be no users yet. */
	enum admin_result (*load)(
	    struct users *users, bool is_new, struct error *err);
	void (*unload)(struct users *users);

	/* 1; 0; -1. */
	int (*find)(struct users *users, const char *name,
	    const struct vpasswd_entry **entry_out, struct error *err);
	void (*rewind)(struct users *users);
	int (*next)(struct users *users, const struct vpasswd_entry **entry_out,
	    struct error *err);

	/* How many there are but the postmaster.  0 or -1. */
	int (*count)(
	    struct users *users, uint64_t *count_out, struct error *err);
	/* Counts the users in each folder.  0 or -1. */
	int (*count_folders)(
	    struct users *users, struct dirhash *hash, struct error *err);
	/* The name of one of the list that is there: 1; 0; -1. */
	int (*find_any)(struct users *users, const struct users_new *new,
	    size_t count, const char **name_out, struct error *err);
	/* Is the folder, or one above or below it, another user's too? */
	int (*is_shared)(struct users *users, const char *name, const char *dir,
	    struct error *err);

	/* All, durably, or none. */
	enum admin_result (*add)(struct users *users,
	    const struct vpasswd_entry *entries, size_t count,
	    struct error *err);
	/* The same, and those who are there are changed. */
	enum admin_result (*put)(struct users *users,
	    const struct vpasswd_entry *entries, size_t count,
	    struct error *err);
	enum admin_result (*change)(struct users *users,
	    const struct vpasswd_entry *entry, struct error *err);
	/* The user of that name becomes the entry, in one step. */
	enum admin_result (*rename)(struct users *users, const char *name,
	    const struct vpasswd_entry *entry, struct error *err);
	/*
	 * Removes one in two steps: begin sees that it can be done, end does
	 * it, or, with is_wanted false, nothing.
	 */
	enum admin_result (*remove_begin)(
	    struct users *users, const char *name, struct error *err);
	enum admin_result (*remove_end)(struct users *users, const char *name,
	    bool is_wanted, struct error *err);
};

/*
 * Users that came from elsewhere may share a folder.  1; 0 when taking dir away
 * would take more than the one user's mail; -1.
 */
int users_is_dir_own(
    struct users *users, const char *name, const char *dir, struct error *err);

/* Is inner the folder outer, or below it? */
static inline bool
users_is_within(const char *inner, const char *outer)
{
	size_t length = strlen(outer);

	return strncmp(inner, outer, length) == 0 &&
	    (inner[length] == '\0' || inner[length] == '/');
}

extern const struct users_backend users_cdb, users_pg;

/*
 * Connects, before we act as the domain's owner, who may not read how.  With a
 * domain that the database does not have yet load() makes it.
 */
enum admin_result users_pg_connect(struct users *users, const char *control_dir,
    bool is_writer, struct error *err);

/* The connection of users_pg, and the domain's id there. */
struct pg *users_pg_connection(struct users *users, const char **id_out);
/*
 * Adds the first column of what the statement gives for the domain's id, $1, and
 * the name, $2 (NULL: it has none).  1; 0: there is no row; -1.
 */
int users_pg_texts(struct users *users, const char *sql, const char *name,
    struct strlist *texts, struct error *err);
/* Commits what began with pg_begin(), or rolls it back. */
enum admin_result users_pg_end(
    struct users *users, enum pg_status status, struct error *err);

/* Adds rows in the transaction that has begun; a store's id for each. */
enum pg_status users_pg_copy(struct users *users,
    const struct vpasswd_entry *entries, const char *const *store_ids,
    size_t count, struct error *err);

/* users_place.c: what users.c and users_move.c do of a clustered domain. */
enum admin_result users_add_placed(struct users *users,
    const struct users_new *new, size_t count, struct error *err);
enum admin_result users_remove_elsewhere(struct users *users, const char *name,
    const char *dir, const struct place *place, struct error *err);
enum admin_result users_count_elsewhere(struct users *users, const char *dir,
    const struct place *place, struct error *err);
/* 1: this node has the files of the user; 0: another; -1.  The caller
 * releases the place. */
int users_is_here(struct users *users, const char *name,
    struct place *place_out, struct error *err);
enum admin_result users_refuse_elsewhere(
    struct users *users, const char *name, struct error *err);
enum admin_result users_refuse_moving(
    struct users *users, const char *name, struct error *err);

/* As a new user is stored; the texts are borrowed. */
struct vpasswd_entry users_new_entry(
    const struct users_new *new, const char *dir);

/* Makes vpasswd.cdb again in any case. */
enum admin_result users_cdb_compile(struct users *users, struct error *err);

#endif
