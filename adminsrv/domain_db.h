/* SPDX-License-Identifier: ISC */
/*
 * A domain's row in the database, beside the node's files.  All do nothing, and
 * say ADMIN_OK, on a node whose users are in files.
 */
#ifndef ADMINSRV_DOMAIN_DB_H
#define ADMINSRV_DOMAIN_DB_H

#include <stdbool.h>

#include "adminsrv/result.h"
#include "control/home.h"

struct domain_db;

/*
 * Connects, when the setting userstore is pgsql.  *db_out is NULL of files and
 * after a failure; the caller frees it.
 */
enum admin_result domain_db_open(
    const struct home *home, struct domain_db **db_out, struct error *err);
/* The same whichever the store is. */
enum admin_result domain_db_connect(
    const struct home *home, struct domain_db **db_out, struct error *err);
void domain_db_free(struct domain_db **db);

/* Is there the domain with its postmaster?  1; 0; -1.  db is not NULL. */
int domain_db_has_postmaster(
    struct domain_db *db, const char *domain, struct error *err);

/* *is_new_out: it was not there. */
enum admin_result domain_db_add_alias(struct domain_db *db, const char *real,
    const char *alias, bool *is_new_out, struct error *err);

/*
 * Removes a domain with all that belongs to it, or an alias, in two steps:
 * begin sees to it that nobody changes the domain and that it can be done; end
 * does it.  keep: the rows of a domain stay, but count no more.
 */
enum admin_result domain_db_remove_begin(
    struct domain_db *db, const char *domain, struct error *err);
enum admin_result domain_db_remove_end(struct domain_db *db, const char *domain,
    bool is_alias, bool keep, struct error *err);

/* Is there a row of the name, whatever it is?  1; 0; -1.  db is not NULL. */
int domain_db_has_name(
    struct domain_db *db, const char *name, struct error *err);

/*
 * Gives a domain its new name, and the users who have their folders below dir
 * those below new_dir; nothing when that is done.
 */
enum admin_result domain_db_rename(struct domain_db *db, const char *domain,
    const char *new_name, const char *dir, const char *new_dir,
    struct error *err);

#endif
