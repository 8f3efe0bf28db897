/* SPDX-License-Identifier: ISC */
/*
 * One connection to PostgreSQL, by libpq.
 *
 * It connects when it is first needed and again when it was lost.  Nothing here
 * waits longer than it was told: a connection that does not answer in time is
 * dropped, not asked to cancel.  Values go by parameters, never into the text
 * of a statement.  One thread at a time may use a connection.
 */
#ifndef LOOKUPD_PG_H
#define LOOKUPD_PG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

struct pg;
struct pg_result;

enum pg_status {
	PG_OK = 0,
	/*
	 * Nobody knows: no connection, no answer in time, a server that stops,
	 * is full or is read-only.  Of a change: it may have been made.
	 */
	PG_UNKNOWN,
	PG_DUPLICATE, /* unique violation: there is such a row */
	/*
	 * The server does not take it: again is wrong again.  Of a lookup that
	 * is our trouble (a missing table, no right), never "absent".
	 */
	PG_REFUSED
};

struct pg_options {
	/*
	 * As libpq reads it, with any number of hosts.  Each is tried by itself
	 * for at most connect_ms, that which answered last at first.  Without
	 * target_session_attrs it is read-write of a writer, and prefer-standby
	 * of a reader.
	 */
	const char *conninfo;
	const char *program; /* application_name, unless the string has one */
	bool is_writer;
	/*
	 * pgbouncer or the like stands between: no statement is prepared by
	 * name, nothing of a session is set, and a writer's server is asked
	 * what it is before each use.
	 */
	bool has_pooler;
	int connect_ms;   /* for each host; 0: 5000 */
	int statement_ms; /* statement_timeout of the server; 0: none */
};

/* Texts are copied.  Does not connect.  NULL: the string cannot be read. */
struct pg *pg_new(const struct pg_options *options, struct error *err);
void pg_free(struct pg **pg);

/* Connects unless it is.  PG_OK; PG_UNKNOWN; PG_REFUSED: role or database. */
enum pg_status pg_connect(struct pg *pg, int timeout_ms, struct error *err);
/* Drops the connection at once; the next use makes another. */
void pg_drop(struct pg *pg);
bool pg_is_connected(const struct pg *pg);
/* How many hosts the string names; at least 1. */
size_t pg_host_count(const struct pg *pg);
/* The server's host, for people; "" without a connection. */
const char *pg_host(const struct pg *pg);

/* A statement; of static storage.  name NULL: it is never prepared. */
struct pg_statement {
	const char *name;
	const char *sql;
};

/*
 * Runs a statement with parameters, texts (NULL: SQL's NULL) whose types the
 * server finds; timeout_ms counts connecting, too.  PG_OK and, unless
 * result_out is NULL, *result_out, which the caller frees.  A connection that
 * turned out to be lost before the statement was sent is made anew, but not
 * within a transaction.
 */
enum pg_status pg_run(struct pg *pg, const struct pg_statement *statement,
    const char *const *params, size_t count, int timeout_ms,
    struct pg_result **result_out, struct error *err);

/* Several statements in one text, without parameters. */
enum pg_status pg_script(
    struct pg *pg, const char *sql, int timeout_ms, struct error *err);

/* A commit whose answer is lost is PG_UNKNOWN: it may be done. */
enum pg_status pg_begin(struct pg *pg, struct error *err);
enum pg_status pg_commit(struct pg *pg, struct error *err);
void pg_rollback(struct pg *pg);

/*
 * COPY ... FROM STDIN: begin, any number of puts, end.  When a put fails the
 * COPY is over; what was copied is there once pg_copy_end() gives PG_OK.
 */
enum pg_status pg_copy_begin(struct pg *pg, const char *sql, struct error *err);
enum pg_status pg_copy_put(
    struct pg *pg, const char *data, size_t length, struct error *err);
enum pg_status pg_copy_end(struct pg *pg, int timeout_ms, struct error *err);
/* Adds one field of COPY's text format, with its escapes; NULL is \N. */
void pg_copy_field(struct buf *line, const char *text);

/*
 * Waits, after a LISTEN, for notifications: 1 when there were any, which are
 * taken; 0 when there was none, or wake_fd (or -1) can be read; -1: the
 * connection is lost.
 */
int pg_wait_notify(
    struct pg *pg, int wake_fd, int timeout_ms, struct error *err);

/* The SQLSTATE of the last failure, five bytes; "" when it has none. */
const char *pg_sqlstate(const struct pg *pg);

size_t pg_rows(const struct pg_result *result);
/* Rows that an INSERT, UPDATE or DELETE changed. */
size_t pg_changed(const struct pg_result *result);
/* Valid as long as the result; NULL: SQL's NULL. */
const char *pg_text(const struct pg_result *result, size_t row, size_t column);
size_t pg_length(const struct pg_result *result, size_t row, size_t column);
/* 0 for NULL and for what is no number. */
int64_t pg_number(const struct pg_result *result, size_t row, size_t column);
bool pg_bool(const struct pg_result *result, size_t row, size_t column);
void pg_result_free(struct pg_result **result);

/* Adds a text[] for a parameter, as of "= ANY($1)". */
void pg_array(struct buf *text, const char *const *items, size_t count);

#endif
