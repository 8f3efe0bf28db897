/* SPDX-License-Identifier: ISC */
/* The database's schema: its versions, and who brings it to the newest. */
#ifndef LOOKUPD_SCHEMA_H
#define LOOKUPD_SCHEMA_H

#include "base/error.h"
#include "lookupd/pg.h"

/* The newest version that this program knows; they begin with 1. */
int schema_newest(void);
/* The SQL that makes a version from the one before. */
const char *schema_sql(int version);

/*
 * The version that the database has; 0: it has none.  PG_OK, or the status
 * with the reason.
 */
enum pg_status schema_version(
    struct pg *pg, int *version_out, struct error *err);

/*
 * Brings it to the newest version, each in a transaction of its own, while
 * nobody else does.  *from_out is what it had.  PG_REFUSED when it is newer
 * than this program.
 */
enum pg_status schema_upgrade(struct pg *pg, int *from_out, struct error *err);

/*
 * Makes the role mqmail_read, unless it is there, and lets it read what other
 * software needs of the newest version.  PG_REFUSED: control/pgsql's role may not
 * make roles.
 */
enum pg_status schema_grant_reader(struct pg *pg, struct error *err);

#endif
