/* SPDX-License-Identifier: ISC */
/*
 * Administrators in the database, and the audit of what they do.
 *
 * One connection, made anew when it is lost, which threads use in turn.  While
 * the database is away an administrator whom it has told of before is known
 * still.  Any thread.
 */
#ifndef ADMINSRV_SERVER_ADMINS_H
#define ADMINSRV_SERVER_ADMINS_H

#include <stdint.h>

#include "adminsrv/server/rights.h"
#include "base/buf.h"
#include "base/error.h"

struct admins;

/* conninfo is that of the setting pgsql.  NULL: it cannot be read. */
struct admins *admins_new(const char *conninfo, struct error *err);
void admins_free(struct admins **admins);

/*
 * 1, and *admin_out is the caller's to release; *age_ms_out is how old that is,
 * over 0 only while the database is away.  0: there is no such one.  -1: could
 * not tell.
 */
int admins_find(struct admins *admins, const char *name,
    struct admin *admin_out, int64_t *age_ms_out, struct error *err);

/*
 * He failed to log in: after that many failures he is locked out on all nodes
 * for lock_s.  Or he has logged in.  Without the database nothing happens.
 */
void admins_note_failure(
    struct admins *admins, const char *name, uint64_t most, uint64_t lock_s);
void admins_note_login(struct admins *admins, const char *name);

struct audit {
	const char *node, *who, *from_ip, *what, *args, *result;
	int64_t ms;
};

/* 0, or -1 with the reason: it is not noted. */
int admins_audit(
    struct admins *admins, const struct audit *audit, struct error *err);

/* Is the database there?  0, or -1 with the reason. */
int admins_ping(struct admins *admins, struct error *err);

/*
 * The rows of a statement of ours without parameters, as a JSON array of
 * objects, behind what json holds.  0 or -1.
 */
int admins_query_json(
    struct admins *admins, const char *sql, struct buf *json, struct error *err);

#endif
