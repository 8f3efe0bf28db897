/* SPDX-License-Identifier: ISC */
/*
 * What IndiMail's cluster commands share: they show, and in part change, what
 * the cluster's database says under the names of the reference's tables.  For
 * their main() only.
 */
#ifndef ADMINSRV_VIEW_H
#define ADMINSRV_VIEW_H

#include "adminsrv/result.h"
#include "base/error.h"
#include "control/home.h"
#include "lookupd/pg.h"

/* The node, and its database.  The caller frees both in any case. */
enum admin_result view_open(
    struct home **home_out, struct pg **pg_out, struct error *err);

/*
 * Prints all rows of a statement, its columns in a table under the titles (to
 * the NULL behind the last); params as of pg_run().  Refused: there is no row,
 * and what is what was looked for.
 */
enum admin_result view_print(struct pg *pg, const char *sql,
    const char *const *params, size_t count, const char *const *titles,
    const char *what, struct error *err);

/* Runs a change; refused, with what was looked for, when no row changed. */
enum admin_result view_change(struct pg *pg, const char *sql,
    const char *const *params, size_t count, const char *what,
    struct error *err);

#endif
