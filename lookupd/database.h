/* SPDX-License-Identifier: ISC */
/*
 * lookupd's threads that ask PostgreSQL, and bring answers back to the loop:
 *
 * - readers, each with a connection of its own; what waits of one kind is asked
 *   for by one statement;
 * - a writer, of logins; what it cannot write goes to the spool;
 * - a listener, which waits for notifications and then reads the change log;
 * - one that writes the snapshot.
 *
 * The loop's thread alone calls these.
 */
#ifndef LOOKUPD_DATABASE_H
#define LOOKUPD_DATABASE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/buf.h"
#include "base/error.h"
#include "lookupd/query.h"
#include "lookupd/snapshot.h"

struct database;

struct database_options {
	const char *conninfo;      /* of writers */
	const char *read_conninfo; /* of readers */
	const char *listen_conninfo; /* of the listener */
	bool has_pooler; /* between us and the first two */
	unsigned readers;
	int statement_ms;   /* how long a statement may take */
	const char *folder; /* for the spool and the snapshot */
	uint64_t spool_bytes;
	unsigned snapshot_s; /* between snapshots; 0: none are made */
};

/* Threads start at once.  Texts are copied.  NULL with the reason. */
struct database *database_new(
    const struct database_options *options, struct error *err);
/* Ends the threads; may wait as long as a statement. */
void database_free(struct database **database);

/* Something to be asked; whoever posts it keeps the texts until it is done. */
struct fetch {
	TAILQ_ENTRY(fetch) link;
	struct query query;
	/* Set when it is done: */
	enum query_state state;
	enum query_source source;
	uint64_t number;     /* RELAY: the row's age in seconds */
	struct buf record;   /* UNKNOWN: the reason */
	int64_t read_at_ms;  /* before it was asked */
	bool is_behind; /* of before what the change log told: not to be kept */
};
TAILQ_HEAD(fetch_list, fetch);

void database_post(struct database *database, struct fetch *fetch);
/* Readable when something is done or changed. */
int database_fd(const struct database *database);
/* Clears the descriptor; the fetches that are done. */
void database_take_done(struct database *database, struct fetch_list *done_out);

/* What the change log said, in its order. */
enum change_kind {
	CHANGE_KEY,    /* kind, domain, name */
	CHANGE_DOMAIN, /* all of the domain */
	CHANGE_ALL     /* nobody knows what changed meanwhile */
};
struct change {
	STAILQ_ENTRY(change) link;
	enum change_kind change;
	enum query_kind kind;
	char *domain, *name;
};
STAILQ_HEAD(change_list, change);
void database_take_changes(
    struct database *database, struct change_list *changes_out);
void change_free(struct change *change);

/* A snapshot that was made since, now the caller's; or NULL. */
struct snapshot *database_take_snapshot(struct database *database);
/* Makes one now. */
void database_want_snapshot(struct database *database);

enum database_health {
	DATABASE_STARTING, /* not connected yet, and it did not fail either */
	DATABASE_UP,
	DATABASE_AWAY
};

struct database_state {
	enum database_health health;
	/* The change log was read a moment ago: nothing changed unseen. */
	bool is_followed;
	struct error reason; /* why it is away */
	char host[128];
	int64_t followed_at_ms, health_since_ms;
	uint64_t statements, rows, changes, logins_written, logins_lost;
	uint64_t spool_bytes;
	bool makes_snapshot;
	int64_t snapshot_took_ms;
};
void database_state(struct database *database, struct database_state *state_out);
enum database_health database_health(struct database *database);
bool database_is_followed(struct database *database);

#endif
