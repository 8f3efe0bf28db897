/* SPDX-License-Identifier: ISC */
/* Where users of clustered domains are. */
#include "adminsrv/placement.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adminsrv/database.h"
#include "base/mem.h"
#include "control/node_setting.h"

/*
 * $1: this node.  A store that no clusterd has held yet is the node's that its
 * row names.
 */
#define PLACE_COLUMNS                                                         \
	"SELECT s.id, s.name, s.path, coalesce(s.node, ''), s.epoch, "        \
	"coalesce(c.users, 0), s.weight, CASE WHEN s.max_users = 0 THEN -1 "  \
	"ELSE greatest(s.max_users - coalesce(c.users, 0), 0) END, "          \
	"coalesce(s.node = $1, false) AND (s.is_many_served OR "              \
	"s.lease_until IS NULL OR s.lease_until > now()), "                   \
	"s.is_many_served AND $1 <> '', "                                     \
	"coalesce(n.is_alive, s.is_many_served) OR coalesce(n.name = $1, false)"
#define PLACE_TABLES                                           \
	" FROM mq.stores s "                                   \
	"LEFT JOIN mq.live_nodes n ON n.name = s.node "        \
	"LEFT JOIN mq.store_users c ON c.store_id = s.id "

int
place_own_node(const char *control_dir, struct buf *name_out, struct error *err)
{
	if (node_setting_text(control_dir, SETTING_nodename, name_out, err) ==
	    -1)
		return -1;
	return name_out->length > 0;
}

static void
read_place(const struct pg_result *rows, size_t row, struct place *place)
{
	int64_t room = pg_number(rows, row, 7);

	*place = (struct place){
		.name = xstrdup(pg_text(rows, row, 1)),
		.path = xstrdup(pg_text(rows, row, 2)),
		.node = xstrdup(pg_text(rows, row, 3)),
		.users = (uint64_t)pg_number(rows, row, 5),
		.weight = (uint64_t)pg_number(rows, row, 6),
		.room = room == -1 ? UINT64_MAX : (uint64_t)room,
		.is_here = pg_bool(rows, row, 8),
		.is_alive = pg_bool(rows, row, 10),
	};
	snprintf(place->id, sizeof(place->id), "%s", pg_text(rows, row, 0));
	snprintf(
	    place->epoch, sizeof(place->epoch), "%s", pg_text(rows, row, 4));
	if (pg_bool(rows, row, 9) && access(place->path, X_OK) == 0)
		place->is_here = true;
}

void
place_release(struct place *place)
{
	free(place->name);
	free(place->path);
	free(place->node);
	place->name = place->path = place->node = NULL;
}

void
places_free(struct places *places)
{
	for (size_t i = 0; i < places->count; i++)
		place_release(&places->items[i]);
	free(places->items);
	*places = (struct places){ NULL, 0 };
}

int
place_of_store(struct pg *pg, const char *own_node, const char *name,
    struct place *place_out, struct error *err)
{
	AUTO(pg_result_free) struct pg_result *rows = NULL;

	if (database_run(pg, &rows, err,
		PLACE_COLUMNS PLACE_TABLES "WHERE s.name = $2", own_node, name,
		NULL) != PG_OK)
		return -1;
	if (pg_rows(rows) == 0)
		return 0;
	read_place(rows, 0, place_out);
	return 1;
}

int
place_of_user(struct pg *pg, const char *own_node, const char *domain_id,
    const char *user, struct place *place_out, struct error *err)
{
	AUTO(pg_result_free) struct pg_result *rows = NULL;

	if (database_run(pg, &rows, err,
		PLACE_COLUMNS PLACE_TABLES
		"JOIN mq.users u ON u.store_id = s.id "
		"WHERE u.domain_id = $2 AND u.name = $3",
		own_node, domain_id, user, NULL) != PG_OK)
		return -1;
	if (pg_rows(rows) == 0)
		return 0;
	read_place(rows, 0, place_out);
	return 1;
}

/*
 * Who names a store gets it also while its node is away.  The bytes are what
 * its users' Maildirs had when they were last counted.
 */
static const char candidates_sql[] = PLACE_COLUMNS PLACE_TABLES
    "WHERE coalesce(n.role IN ('all', 'store') AND NOT n.is_revoked, "
    "s.is_many_served) AND CASE WHEN $2 <> '' THEN s.name = $2 ELSE "
    "s.is_accepting AND s.weight > 0 AND NOT coalesce(n.is_draining, false) "
    "AND (coalesce(n.is_alive, s.is_many_served) OR n.name = $1) END "
    "AND ($3 = '' OR s.node = $3 OR n.host = $3) "
    "AND (s.max_bytes = 0 OR s.max_bytes > (SELECT coalesce(sum(g.bytes), 0) "
    "FROM mq.usage g JOIN mq.users u ON u.id = g.user_id "
    "WHERE u.store_id = s.id)) "
    "ORDER BY s.name";

static enum admin_result
say_no_place(const struct place_wish *wish, struct error *err)
{
	if (wish->store != NULL)
		return admin_refuse(err,
		    "no store '%s' that takes users: it is full, or there is "
		    "none of a node; 'svctool cluster store list' shows all",
		    wish->store);
	if (wish->host != NULL)
		return admin_refuse(err,
		    "no store of node '%s' takes users: see 'svctool cluster "
		    "store list'",
		    wish->host);
	return admin_refuse(err,
	    "no store takes users: all are full, closed, or their nodes away; "
	    "'svctool cluster store list' shows them, 'svctool cluster store "
	    "add' makes another");
}

enum admin_result
places_find(struct pg *pg, const char *own_node, const struct place_wish *wish,
    struct places *places_out, struct error *err)
{
	AUTO(pg_result_free) struct pg_result *rows = NULL;
	enum pg_status status = database_run(pg, &rows, err, candidates_sql,
	    own_node, wish->store == NULL ? "" : wish->store,
	    wish->host == NULL ? "" : wish->host, NULL);

	*places_out = (struct places){ NULL, 0 };
	if (status != PG_OK)
		return database_result(status);
	places_out->items = xcalloc(pg_rows(rows) + 1, sizeof(struct place));
	for (size_t i = 0; i < pg_rows(rows); i++) {
		struct place *place = &places_out->items[places_out->count];

		read_place(rows, i, place);
		/* A node's own folders have no path that others know. */
		if (place->room == 0 || *place->path == '\0')
			place_release(place);
		else
			places_out->count++;
		/* Named, it takes what it would not be given. */
		if (place->weight == 0)
			place->weight = 1;
	}
	if (places_out->count > 0)
		return ADMIN_OK;
	places_free(places_out);
	return say_no_place(wish, err);
}

struct place *
places_next(struct places *places)
{
	struct place *best = NULL;

	for (size_t i = 0; i < places->count; i++) {
		struct place *place = &places->items[i];

		if (place->room > 0 &&
		    (best == NULL ||
			(place->users + 1) * best->weight <
			    (best->users + 1) * place->weight))
			best = place;
	}
	if (best != NULL) {
		best->users++;
		if (best->room != UINT64_MAX)
			best->room--;
	}
	return best;
}

enum admin_result
place_check_unused(struct pg *pg, const char *dirs, struct error *err)
{
	AUTO(pg_result_free) struct pg_result *rows = NULL;
	enum pg_status status = database_run(pg, &rows, err,
	    "SELECT d.dir, t.id FROM mq.tasks t "
	    "CROSS JOIN jsonb_array_elements_text(t.args->'dirs') AS r(dir) "
	    "JOIN unnest($1::text[]) AS d(dir) ON d.dir = r.dir "
	    "OR starts_with(d.dir, r.dir || '/') "
	    "WHERE t.kind = 'remove' AND t.state <> 'done' LIMIT 1",
	    dirs, NULL);

	if (status != PG_OK)
		return database_result(status);
	if (pg_rows(rows) == 0)
		return ADMIN_OK;
	error_set(err,
	    "'%s' waits to be removed (task %s): again when that is done, or "
	    "choose another store",
	    pg_text(rows, 0, 0), pg_text(rows, 0, 1));
	return ADMIN_FAILED;
}
