/* SPDX-License-Identifier: ISC */
/*
 * Users of a clustered domain: which store they get, and what of their files is
 * another node's work.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adminsrv/database.h"
#include "adminsrv/homes.h"
#include "adminsrv/placement.h"
#include "adminsrv/progress.h"
#include "adminsrv/tasks.h"
#include "adminsrv/user_dir.h"
#include "adminsrv/users_backend.h"
#include "base/buf.h"
#include "base/mem.h"
#include "lookupd/vpasswd.h"

enum { SYNC_EACH_MAX = 16 };

/* New users on their way into the database. */
struct placing {
	struct users *users;
	struct pg *pg;
	struct places places;
	struct dirhash **hashes;       /* of each store; NULL: none yet */
	struct vpasswd_entry *entries; /* of the new users; dir is ours */
	const char **dirs, **store_ids;
	struct place **chosen;
	size_t count;
};

void
users_set_wish(struct users *users, const struct place_wish *wish, bool no_wait)
{
	users->wish = *wish;
	users->no_wait = no_wait;
}

int
users_find_place(struct users *users, const char *name, struct place *place_out,
    struct error *err)
{
	const char *id;
	struct pg *pg;

	*place_out = (struct place){ .name = NULL };
	if (!users->is_clustered)
		return 0;
	pg = users_pg_connection(users, &id);
	return place_of_user(pg, users->own_node.data, id, name, place_out, err);
}

int
users_list_stores(
    struct users *users, struct strlist *stores, struct error *err)
{
	return users_pg_texts(users,
		   "SELECT coalesce(s.name, '-') || ' ' || "
		   "coalesce(s.node, '-') || ' ' || count(*) FROM mq.users u "
		   "LEFT JOIN mq.stores s ON s.id = u.store_id "
		   "WHERE u.domain_id = $1 GROUP BY s.name, s.node ORDER BY 1",
		   NULL, stores, err) == -1
	    ? -1
	    : 0;
}

/* 1: this node has the user's files; 0: another; -1. */
int
users_is_here(struct users *users, const char *name, struct place *place_out,
    struct error *err)
{
	int found = users_find_place(users, name, place_out, err);

	return found == 1 ? place_out->is_here : found == 0 ? 1 : -1;
}

enum admin_result
users_refuse_elsewhere(
    struct users *users, const char *name, struct error *err)
{
	AUTO(place_release) struct place place = { .name = NULL };
	int is_here = users_is_here(users, name, &place, err);

	if (is_here != 0)
		return admin_result_of(is_here);
	return admin_refuse(err,
	    "the files of '%s' are in store '%s' of node '%s': run this there",
	    name, place.name, place.node);
}

/* Who is on the way to another store must not change or go. */
enum admin_result
users_refuse_moving(struct users *users, const char *name, struct error *err)
{
	AUTO(pg_result_free) struct pg_result *rows = NULL;
	const char *id;
	struct pg *pg;

	if (!users->is_clustered)
		return ADMIN_OK;
	pg = users_pg_connection(users, &id);
	if (database_run(pg, &rows, err,
		"SELECT s.name FROM mq.moves m JOIN mq.users u "
		"ON u.id = m.user_id JOIN mq.stores s ON s.id = m.to_store "
		"WHERE u.domain_id = $1 AND u.name = $2",
		id, name, NULL) != PG_OK)
		return ADMIN_FAILED;
	return pg_rows(rows) == 0
	    ? ADMIN_OK
	    : admin_refuse(err,
		  "user '%s' is on the way to store '%s': 'vmoveuser --resume' "
		  "ends that",
		  name, pg_text(rows, 0, 0));
}

static struct dirhash *
hash_of(struct placing *placing, const struct place *place, struct error *err)
{
	size_t at = (size_t)(place - placing->places.items);
	OWN_TEXT folder = xasprintf(
	    "%s/%s", place->path, placing->users->domain);

	if (placing->hashes[at] != NULL)
		return placing->hashes[at];
	placing->hashes[at] = dirhash_new(folder, DIRHASH_LIMIT_MAX);
	if (placing->users->backend->count_folders(
		placing->users, placing->hashes[at], err) == -1)
		dirhash_free(&placing->hashes[at]);
	return placing->hashes[at];
}

/* Store and folder of one; the folder is made if it is this node's to make. */
static enum admin_result
place_one(struct placing *placing, size_t at, const struct users_new *new,
    struct error *err)
{
	struct users *users = placing->users;
	struct place *place = places_next(&placing->places);
	AUTO(buf_release) struct buf dir = BUF_INIT;
	AUTO(buf_release) struct buf line = BUF_INIT;
	struct vpasswd_entry *entry = &placing->entries[at];
	enum admin_result result = ADMIN_OK;
	struct dirhash *hash;

	if (place == NULL)
		return admin_refuse(err,
		    "the stores are full: %zu of %zu users have room", at,
		    placing->count);
	placing->chosen[at] = place;
	placing->store_ids[at] = place->id;
	hash = hash_of(placing, place, err);
	if (hash == NULL)
		return ADMIN_FAILED;
	if (dirhash_place(hash, new->name, &dir, err) == -1)
		return ADMIN_REFUSED;
	*entry = users_new_entry(new, dir.data);
	placing->dirs[at] = dir.data;
	buf_init(&dir); /* ours now */
	if (vpasswd_format(entry, &line, err) == -1)
		return ADMIN_REFUSED;
	if (!place->is_here)
		return ADMIN_OK;
	if (homes_check(users->control_dir, users->dir, entry->dir, err) == -1)
		return ADMIN_REFUSED;
	result = user_dir_make(entry->dir, err);
	if (result != ADMIN_OK)
		error_context(err, "user '%s'", new->name);
	return result;
}

/* Of many, what is cheaper: once for each store. */
static int
sync_homes(struct placing *placing, struct error *err)
{
	for (size_t i = 0; i < placing->count; i++) {
		struct place *place = placing->chosen[i];

		if (!place->is_here)
			continue;
		if (placing->count <= SYNC_EACH_MAX) {
			if (user_dir_sync(place->path, placing->dirs[i], err) ==
			    -1)
				return -1;
		} else if (!place->is_synced &&
		    user_dir_sync_all(place->path, err) == -1)
			return -1;
		place->is_synced = true;
	}
	return 0;
}

static enum admin_result
place_all(
    struct placing *placing, const struct users_new *new, struct error *err)
{
	AUTO(buf_release) struct buf array = BUF_INIT;
	enum admin_result result = ADMIN_OK;

	for (size_t i = 0; result == ADMIN_OK && i < placing->count; i++) {
		result = place_one(placing, i, &new[i], err);
		progress_add(placing->users->progress, 1);
	}
	if (result != ADMIN_OK)
		return result;
	pg_array(&array, placing->dirs, placing->count);
	result = place_check_unused(placing->pg, array.data, err);
	return result == ADMIN_OK ? admin_result_of(sync_homes(placing, err))
				  : result;
}

/* The homes that other nodes make: a task for each store. */
static enum pg_status
add_tasks(struct placing *placing, struct task_ids *ids, struct error *err)
{
	AUTO(mem_free)
	const char **dirs = xcalloc(placing->count + 1, sizeof(*dirs));
	enum pg_status status = PG_OK;

	for (size_t s = 0; status == PG_OK && s < placing->places.count; s++) {
		struct place *place = &placing->places.items[s];
		AUTO(buf_release) struct buf array = BUF_INIT;
		size_t count = 0;

		for (size_t i = 0; !place->is_here && i < placing->count; i++)
			if (placing->chosen[i] == place)
				dirs[count++] = placing->dirs[i];
		if (count == 0)
			continue;
		pg_array(&array, dirs, count);
		status = task_add_dirs(
		    placing->pg, "make", place->id, array.data, ids, err);
	}
	return status;
}

/* Others may have added users meanwhile: their counts are locked with ours. */
static enum pg_status
check_still_room(struct pg *pg, const char *const *store_ids, size_t count,
    struct error *err)
{
	AUTO(buf_release) struct buf array = BUF_INIT;
	AUTO(pg_result_free) struct pg_result *rows = NULL;
	enum pg_status status;

	pg_array(&array, store_ids, count);
	status = database_run(pg, &rows, err,
	    "SELECT s.name FROM mq.stores s JOIN mq.store_users c "
	    "ON c.store_id = s.id WHERE s.id = ANY($1::bigint[]) "
	    "AND s.max_users > 0 AND c.users > s.max_users",
	    array.data, NULL);
	if (status != PG_OK || pg_rows(rows) == 0)
		return status;
	error_set(err, "store '%s' is full", pg_text(rows, 0, 0));
	return PG_REFUSED;
}

static enum admin_result
insert_all(struct placing *placing, struct task_ids *ids, struct error *err)
{
	enum pg_status status = pg_begin(placing->pg, err);

	if (status == PG_OK)
		status = users_pg_copy(placing->users, placing->entries,
		    placing->store_ids, placing->count, err);
	if (status == PG_OK)
		status = check_still_room(
		    placing->pg, placing->store_ids, placing->count, err);
	if (status == PG_OK)
		status = add_tasks(placing, ids, err);
	return users_pg_end(placing->users, status, err);
}

static void
free_placing(struct placing *placing)
{
	for (size_t i = 0; i < placing->places.count; i++)
		dirhash_free(&placing->hashes[i]);
	for (size_t i = 0; i < placing->count; i++)
		mem_free(&placing->dirs[i]);
	free(placing->hashes);
	free(placing->entries);
	free(placing->dirs);
	free(placing->store_ids);
	free(placing->chosen);
	places_free(&placing->places);
}

/* What is changed stays so, whatever becomes of the work. */
static enum admin_result
wait_for(struct users *users, struct pg *pg, const struct task_ids *ids,
    const char *what, struct error *err)
{
	if (users->no_wait || tasks_wait(pg, ids, err) == ADMIN_OK)
		return ADMIN_OK;
	error_context(err, "%s", what);
	return ADMIN_FAILED;
}

enum admin_result
users_add_placed(struct users *users, const struct users_new *new, size_t count,
    struct error *err)
{
	AUTO(task_ids_release) struct task_ids ids = { NULL, 0 };
	struct placing placing = { .users = users, .count = count };
	const char *id;
	enum admin_result result;

	placing.pg = users_pg_connection(users, &id);
	result = places_find(placing.pg, users->own_node.data, &users->wish,
	    &placing.places, err);
	if (result != ADMIN_OK)
		return result;
	placing.hashes = xcalloc(
	    placing.places.count, sizeof(struct dirhash *));
	placing.entries = xcalloc(count + 1, sizeof(*placing.entries));
	placing.dirs = xcalloc(count + 1, sizeof(*placing.dirs));
	placing.store_ids = xcalloc(count + 1, sizeof(*placing.store_ids));
	placing.chosen = xcalloc(count + 1, sizeof(struct place *));
	result = place_all(&placing, new, err);
	if (result == ADMIN_OK)
		result = insert_all(&placing, &ids, err);
	free_placing(&placing);
	return result == ADMIN_OK
	    ? wait_for(users, placing.pg, &ids,
		  count == 1 ? "the user is added, but has no home yet"
			     : "the users are added, but not all have homes yet",
		  err)
	    : result;
}

enum admin_result
users_remove_elsewhere(struct users *users, const char *name, const char *dir,
    const struct place *place, struct error *err)
{
	AUTO(task_ids_release) struct task_ids ids = { NULL, 0 };
	AUTO(buf_release) struct buf array = BUF_INIT;
	const char *id;
	struct pg *pg = users_pg_connection(users, &id);
	enum admin_result result = users->backend->remove_begin(
	    users, name, err);
	enum pg_status status;

	if (result != ADMIN_OK)
		return result;
	pg_array(&array, &dir, 1);
	status = task_add_dirs(pg, "remove", place->id, array.data, &ids, err);
	if (status != PG_OK)
		return users_pg_end(users, status, err);
	result = users->backend->remove_end(users, name, true, err);
	return result == ADMIN_OK
	    ? wait_for(users, pg, &ids,
		  "the user is removed, but not yet the mail", err)
	    : result;
}

enum admin_result
users_count_elsewhere(struct users *users, const char *dir,
    const struct place *place, struct error *err)
{
	AUTO(task_ids_release) struct task_ids ids = { NULL, 0 };
	AUTO(buf_release) struct buf array = BUF_INIT;
	const char *id;
	struct pg *pg = users_pg_connection(users, &id);

	pg_array(&array, &dir, 1);
	if (task_add_dirs(pg, "count", place->id, array.data, &ids, err) !=
	    PG_OK)
		return ADMIN_FAILED;
	return wait_for(users, pg, &ids,
	    "the quota is changed, but the old one may still be kept", err);
}
