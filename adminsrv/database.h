/* SPDX-License-Identifier: ISC */
/* The node's user store, by its settings. */
#ifndef ADMINSRV_DATABASE_H
#define ADMINSRV_DATABASE_H

#include <stdbool.h>

#include "adminsrv/result.h"
#include "base/error.h"
#include "lookupd/pg.h"

/* How long a statement of a command may take. */
enum { DATABASE_MS = 60000, DATABASE_LONG_MS = 1800 * 1000 };

/*
 * Is the setting userstore pgsql?  1; 0; -1 when a setting is wrong.
 * control_dir NULL: 0.
 */
int database_is_store(const char *control_dir, struct error *err);

/*
 * Connects to the database of the settings, whichever the store is, for a
 * writer or a reader, and sees to it that it has a schema that we know.  After
 * ADMIN_OK the caller frees *pg_out.
 */
enum admin_result database_open(const char *control_dir, bool is_writer,
    struct pg **pg_out, struct error *err);

/* The same without looking at the schema. */
enum admin_result database_connect(const char *control_dir, bool is_writer,
    struct pg **pg_out, struct error *err);

/* What a status is to an operator; the reason is set already. */
enum admin_result database_result(enum pg_status status);

/* Runs one statement with texts as parameters, to the NULL behind the last. */
enum pg_status database_run(struct pg *pg, struct pg_result **result_out,
    struct error *err, const char *sql, ...) __attribute__((sentinel));

#endif
