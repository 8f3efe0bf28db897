/* SPDX-License-Identifier: ISC */
/*
 * Where in a domain's folder the users' folders are: vpopmail's levels.
 *
 * The first users lie in the domain's folder itself (DOMAIN/alice), the next
 * in folders of one character of 0-9A-Za-z (DOMAIN/0/bob), then two levels
 * deep (DOMAIN/0/0/carol), then three; no folder gets more users than the
 * limit.  Which folder has room is counted from the users that there are, or by
 * the database in the same transaction as they change, so there is no state
 * that a crash could leave wrong, and the room of a removed user is given out
 * again.
 */
#ifndef ADMINSRV_DIRHASH_H
#define ADMINSRV_DIRHASH_H

#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

enum { DIRHASH_LIMIT_MAX = 100 };

struct dirhash;

/* limit: users in a folder, 1 to DIRHASH_LIMIT_MAX. */
struct dirhash *dirhash_new(const char *domain_dir, unsigned limit);
void dirhash_free(struct dirhash **hash);

/* Counts the folder of a user that there is; one elsewhere does not matter. */
void dirhash_count(struct dirhash *hash, const char *user_dir);

/* Counts a number of users whose folders are in this folder. */
void dirhash_count_folder(
    struct dirhash *hash, const char *folder, uint64_t users);

/*
 * Chooses and counts a folder for a new user; its path is put into dir_out.
 * 0, or -1 when every folder of every level is full.
 */
int dirhash_place(struct dirhash *hash, const char *user, struct buf *dir_out,
    struct error *err);

/*
 * What stands behind the user's name in the folder's: a folder must not be one
 * of the levels' folders, nor a file that a domain's folder has, so such names
 * get a character that no user's name has.
 */
const char *dirhash_suffix(const char *user);

#endif
