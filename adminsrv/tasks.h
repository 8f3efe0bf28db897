/* SPDX-License-Identifier: ISC */
/*
 * Work on files in a cluster: rows of mq.tasks, done by the node that serves
 * the store.
 *
 * A row stays until its work is done: a node that is away does it when it is
 * back, one that was killed does it again.  So each kind may be done twice.
 * What fails is tried again, later each time; what is wrong as it was asked is
 * failed, with the reason in the row.
 *
 *   make    dirs: homes of new users
 *   remove  dirs: homes, or folders of domains, with all in them
 *   count   dirs: homes whose size is to be counted anew
 *   drop    user (a domain): what a node keeps of it, but mail
 *   move    user (its id), to (a store): adminsrv/move.h
 */
#ifndef ADMINSRV_TASKS_H
#define ADMINSRV_TASKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "adminsrv/result.h"
#include "base/error.h"
#include "control/home.h"
#include "lookupd/pg.h"

/* Some that are waited for. */
struct task_ids {
	char **items;
	size_t count;
};
void task_ids_add(struct task_ids *ids, const char *id);
void task_ids_release(struct task_ids *ids);

/*
 * Adds one of a store, about folders (pg_array()); of the caller's transaction,
 * if there is one.  ids: gets its number.
 */
enum pg_status task_add_dirs(struct pg *pg, const char *kind,
    const char *store_id, const char *dirs, struct task_ids *ids,
    struct error *err);
/* A user's way to another store. */
enum pg_status task_add_move(struct pg *pg, const char *from_store_id,
    const char *user_id, const char *to_store, struct task_ids *ids,
    struct error *err);

/*
 * Waits until all are done.  Failed, at once, when the node of one is away,
 * and when one takes too long: it is done later.  Refused: one failed.
 */
enum admin_result tasks_wait(
    struct pg *pg, const struct task_ids *ids, struct error *err);

struct tasks_count {
	size_t done, failed, retried;
};

/* Moves take long: who does them is not who makes homes. */
enum { TASKS_QUICK = 1, TASKS_MOVES = 2, TASKS_ALL = 3 };

/*
 * Does all, of those kinds, that is due for this node's stores, and makes the folders of
 * clustered domains that are missing on it.  For root, or the owner of
 * domains.  Another that does so already is left to it.
 */
enum admin_result tasks_run(const struct home *home, struct pg *pg,
    const char *own_node, unsigned lanes, struct tasks_count *count,
    struct error *err);

#endif
