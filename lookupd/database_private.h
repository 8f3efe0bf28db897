/* SPDX-License-Identifier: ISC */
/* What the files of lookupd/database*.c share. */
#ifndef LOOKUPD_DATABASE_PRIVATE_H
#define LOOKUPD_DATABASE_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "lookupd/database.h"
#include "lookupd/pg.h"
#include "lookupd/spool.h"

enum {
	FETCH_BATCH = 256, /* questions in one statement */
	READERS_MAX = 64
};

struct database {
	char *conninfo, *read_conninfo, *listen_conninfo;
	bool has_pooler;
	bool has_standbys; /* readers may be told by one */
	char *folder;
	unsigned readers;
	int statement_ms;
	unsigned snapshot_s;
	struct spool *spool; /* the writer's */

	pthread_t threads[READERS_MAX + 3];
	unsigned thread_count;
	int done_fd;   /* eventfd: the loop has something to take */
	int follow_fd; /* eventfd: the listener is to end */

	atomic_bool is_stopping;
	_Atomic enum database_health health;
	_Atomic int64_t followed_at_ms; /* 0: not now */
	/*
	 * How far the primary's log was when its last change was read: what a
	 * standby says before that may be of before the change.  Of 64 bits.
	 */
	_Atomic uint64_t changed_lsn;
	/* Of readers that have standbys: when to try the primary; 0: it answers. */
	_Atomic int64_t primary_at_ms;
	_Atomic uint64_t statements, rows, change_count, logins_written,
	    logins_lost, spool_bytes;
	_Atomic bool makes_snapshot;
	_Atomic int64_t snapshot_took_ms;

	pthread_mutex_t lock; /* for what follows */
	pthread_cond_t asked;  /* something is to be read; or the end */
	pthread_cond_t wanted; /* a login is to be written; or the end */
	struct fetch_list waiting[QUERY_KIND_COUNT];
	struct fetch_list done;
	struct change_list changes;
	struct snapshot *made; /* a new snapshot for the loop */
	bool wants_snapshot;
	struct error reason;
	char host[128];
	int64_t health_since_ms;
};

/* Wakes the loop. */
void database_wake(struct database *database);
/* Takes note of what a connection met; says in the log when it is another. */
void database_note(
    struct database *database, enum pg_status status, const struct pg *pg,
    const struct error *err);
/* Waits so long, or until the threads are to end: then false. */
bool database_pause(struct database *database, int ms);

/* A connection for a reader, or for who must hear the primary. */
struct pg *database_reader_new(
    struct database *database, int statement_ms, struct error *err);
struct pg *database_writer_new(struct database *database, struct error *err);
struct pg *database_listener_new(struct database *database, struct error *err);

/*
 * Asks for fetches of one kind, each of which gets its state and record.  When
 * the result is not PG_OK none has.
 */
enum pg_status database_read(struct database *database, struct pg *pg,
    struct fetch **fetches, size_t count, struct error *err);

/* Writes logins. */
enum pg_status database_write_logins(struct database *database, struct pg *pg,
    const struct query *logins, size_t count, struct error *err);

/* Threads. */
void *database_follow(void *database);
void *database_keep_snapshot(void *database);

/* The record of a user's row, from its columns on. */
enum { PASSWORD_COLUMNS = 14 };
#define USER_COLUMN_LIST                                                    \
	"u.flags, CASE WHEN d.is_active THEN u.uid_flags ELSE u.uid_flags " \
	"& ~32 | 16 END, u.dir, u.quota, NOT EXISTS (SELECT FROM mq.filters f "   \
	"WHERE f.domain_id = u.domain_id AND f.user_name = u.name), "       \
	"s.name, s.node, s.epoch, u.is_moving, s.is_many_served"
/* Of u. */
#define USER_STORE "LEFT JOIN mq.stores s ON s.id = u.store_id "
/* Of d, a clustered domain: where its other mail goes. */
#define PLACE_COLUMN_LIST                                                 \
	"coalesce(s.name, ''), CASE WHEN s.id IS NULL THEN "              \
	"d.default_place ELSE s.node END, s.epoch, false, s.is_many_served "
#define DOMAIN_PLACE                                                 \
	"LEFT JOIN mq.stores s ON s.name = d.default_place WHERE "   \
	"d.is_clustered AND d.default_place <> '' "
#define PASSWORD_COLUMN_LIST \
	USER_COLUMN_LIST ", u.hash, u.scram, u.secret, u.gecos"
void database_put_password(struct buf *record, const struct pg_result *result,
    size_t row, size_t column, unsigned limits_flags);
void database_put_place(struct buf *record, const struct pg_result *result,
    size_t row, size_t column);
/* All limits in the order of their enum, and where they begin. */
extern const char database_limit_columns[];
void database_get_limits(const struct pg_result *result, size_t row,
    size_t column, struct store_limits *limits_out);
/* number, header, comparison, name, keyword, destination, bounce_action */
#define FILTER_COLUMN_LIST                                           \
	"f.number, f.header, f.comparison, f.name, f.keyword, "      \
	"f.destination, f.bounce_action"
void database_put_filter(struct buf *record, const struct pg_result *result,
    size_t row, size_t column);

#endif
