/* SPDX-License-Identifier: ISC */
/*
 * Where users of clustered domains are: stores (mq.stores), which are mailbox
 * trees, and the nodes that serve them (docs/cluster.md).
 *
 * A store is here when this node serves it, or it is many-served and its folder
 * can be reached; work on files is done only then, and elsewhere it is a task
 * (adminsrv/tasks.h).
 */
#ifndef ADMINSRV_PLACEMENT_H
#define ADMINSRV_PLACEMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "adminsrv/result.h"
#include "base/buf.h"
#include "base/error.h"
#include "lookupd/pg.h"

struct place {
	char id[24];
	char *name, *path; /* path: where this node, or its own, has it */
	char *node;        /* that serves it; "": none */
	char epoch[24];
	uint64_t users, weight, room; /* room UINT64_MAX: no limit */
	bool is_here;
	bool is_alive; /* its node lives; true of one that is here */
	bool is_synced; /* users_place.c's */
};

struct places {
	struct place *items;
	size_t count;
};

/* This node's name in its cluster.  1; 0: it is in none; -1. */
int place_own_node(
    const char *control_dir, struct buf *name_out, struct error *err);

/* Of the command line: NULL each where it says nothing. */
struct place_wish {
	const char *store;
	const char *host; /* a node, by name or host */
};

/*
 * The stores that take count users more: all that accept, live and have room,
 * or those that were wished for.  Refused: none.  The caller releases.
 */
enum admin_result places_find(struct pg *pg, const char *own_node,
    const struct place_wish *wish, struct places *places_out,
    struct error *err);
void places_free(struct places *places);

/*
 * The one for the next user: that which has the fewest for its weight; it is
 * counted.  NULL: all are full.
 */
struct place *places_next(struct places *places);

/* One store by its name.  1; 0; -1.  The caller releases. */
int place_of_store(struct pg *pg, const char *own_node, const char *name,
    struct place *place_out, struct error *err);
/* That of a user, by the domain's id.  0: no such user, or none of a store. */
int place_of_user(struct pg *pg, const char *own_node, const char *domain_id,
    const char *user, struct place *place_out, struct error *err);
void place_release(struct place *place);

/*
 * Refused when one of the folders, or one above, waits to be removed: what is
 * put there would go with it.  array as of pg_array().
 */
enum admin_result place_check_unused(
    struct pg *pg, const char *dirs, struct error *err);

#endif
