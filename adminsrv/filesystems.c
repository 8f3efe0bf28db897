/* SPDX-License-Identifier: ISC */
/* The filesystems that users' folders are spread over. */
#include "adminsrv/filesystems.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "adminsrv/database.h"
#include "adminsrv/domain_list.h"
#include "adminsrv/lock.h"
#include "control/node_setting.h"
#include "adminsrv/users.h"
#include "adminsrv/users_backend.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/scan.h"
#include "control/layout.h"

enum { FILE_BYTES_MAX = 1024 * 1024, FIELDS = 7, NUMBER_SIZE = 24 };

char *
filesystems_host(const struct home *home)
{
	AUTO(buf_release) struct buf name = BUF_INIT;
	struct error ignored;

	return node_setting_text(home->control, SETTING_me, &name, &ignored) ==
		    0 &&
		name.length > 0
	    ? xstrdup(name.data)
	    : xstrdup("localhost");
}

void
filesystems_release(struct filesystems *list)
{
	for (size_t i = 0; i < list->count; i++) {
		free(list->items[i].path);
		free(list->items[i].host);
	}
	free(list->items);
	*list = (struct filesystems){ .items = NULL };
}

struct filesystem *
filesystems_find(
    const struct filesystems *list, const char *path, const char *host)
{
	for (size_t i = 0; i < list->count; i++)
		if (strcmp(list->items[i].path, path) == 0 &&
		    strcmp(list->items[i].host, host) == 0)
			return &list->items[i];
	return NULL;
}

/* texts: the fields, in the order of the columns. */
static bool
add_item(struct filesystems *list, const char *const texts[FIELDS])
{
	uint64_t numbers[FIELDS - 2];

	for (size_t i = 0; i < FIELDS - 2; i++)
		if (!scan_u64(texts[i + 2], UINT64_MAX, &numbers[i]))
			return false;
	list->items = mem_room(list->items, list->count, sizeof(*list->items));
	list->items[list->count++] = (struct filesystem){
		.path = xstrdup(texts[0]),
		.host = xstrdup(texts[1]),
		.is_online = numbers[0] != 0,
		.max_users = numbers[1],
		.cur_users = numbers[2],
		.max_bytes = numbers[3],
		.cur_bytes = numbers[4],
	};
	return true;
}

static enum admin_result
load_file(const struct home *home, struct filesystems *list, struct error *err)
{
	OWN_TEXT path = layout_path(home, LAYOUT_filesystems);
	AUTO(buf_release) struct buf text = BUF_INIT;
	int found = file_read(path, FILE_BYTES_MAX, &text, err);
	char *rest = text.data, *line;

	while (found == 1 && (line = strsep(&rest, "\n")) != NULL) {
		const char *fields[FIELDS];
		size_t count = 0;

		if (*line == '\0' || *line == '#')
			continue;
		while (line != NULL && count < FIELDS)
			fields[count++] = strsep(&line, " ");
		if (count < FIELDS || !add_item(list, fields))
			found = error_set(err, "'%s' has a wrong line", path);
	}
	return admin_result_of(found);
}

static enum admin_result
load_table(const struct home *home, struct filesystems *list, struct error *err)
{
	AUTO(pg_free) struct pg *pg = NULL;
	AUTO(pg_result_free) struct pg_result *result = NULL;
	enum admin_result opened = database_open(
	    home->control, false, &pg, err);
	enum pg_status status;

	if (opened != ADMIN_OK)
		return opened;
	status = database_run(pg, &result, err,
	    "SELECT filesystem, host, status, max_users, cur_users, max_size, "
	    "cur_size FROM mq.filesystems ORDER BY host, filesystem",
	    NULL);
	if (status != PG_OK)
		return ADMIN_FAILED;
	for (size_t row = 0; row < pg_rows(result); row++) {
		const char *fields[FIELDS];

		for (size_t i = 0; i < FIELDS; i++)
			fields[i] = pg_text(result, row, i);
		if (!add_item(list, fields)) {
			error_set(err, "mq.filesystems has a wrong row");
			return ADMIN_FAILED;
		}
	}
	return ADMIN_OK;
}

enum admin_result
filesystems_load(
    const struct home *home, struct filesystems *list_out, struct error *err)
{
	int is_pgsql = database_is_store(home->control, err);

	*list_out = (struct filesystems){ .items = NULL };
	if (is_pgsql == -1)
		return ADMIN_FAILED;
	return is_pgsql ? load_table(home, list_out, err)
			: load_file(home, list_out, err);
}

static enum admin_result
save_file(const struct home *home, const struct filesystems *list,
    const char *without_path, const char *without_host, struct error *err)
{
	OWN_TEXT path = layout_path(home, LAYOUT_filesystems);
	AUTO(buf_release) struct buf text = BUF_INIT;

	for (size_t i = 0; i < list->count; i++) {
		const struct filesystem *item = &list->items[i];

		if (without_path == NULL ||
		    strcmp(item->path, without_path) != 0 ||
		    strcmp(item->host, without_host) != 0)
			buf_addf(&text,
			    "%s %s %d %" PRIu64 " %" PRIu64 " %" PRIu64
			    " %" PRIu64 "\n",
			    item->path, item->host, item->is_online,
			    item->max_users, item->cur_users, item->max_bytes,
			    item->cur_bytes);
	}
	return admin_result_of(
	    file_replace(path, text.data == NULL ? "" : text.data, text.length,
		layout_rows[LAYOUT_filesystems].mode, err));
}

/* The file under the node's lock: with one more, or without one. */
static enum admin_result
edit_file(const struct home *home, const struct filesystem *put,
    const char *path, const char *host, struct error *err)
{
	OWN_TEXT lock_path = layout_path(home, LAYOUT_users_lock);
	AUTO(file_close) int lock = lock_take(lock_path, err);
	AUTO(filesystems_release)
	struct filesystems list = { .items = NULL };
	struct filesystem *old;
	enum admin_result result = lock == -1 ? ADMIN_FAILED
					      : load_file(home, &list, err);

	if (result != ADMIN_OK)
		return result;
	if (put == NULL)
		return save_file(home, &list, path, host, err);
	old = filesystems_find(&list, put->path, put->host);
	if (old == NULL) {
		list.items = mem_room(
		    list.items, list.count, sizeof(*list.items));
		old = &list.items[list.count++];
		old->path = xstrdup(put->path);
		old->host = xstrdup(put->host);
	}
	old->is_online = put->is_online;
	old->max_users = put->max_users;
	old->cur_users = put->cur_users;
	old->max_bytes = put->max_bytes;
	old->cur_bytes = put->cur_bytes;
	return save_file(home, &list, NULL, NULL, err);
}

static enum admin_result
put_row(struct pg *pg, const struct filesystem *item, struct error *err)
{
	const uint64_t values[] = { item->is_online, item->max_users,
		item->cur_users, item->max_bytes, item->cur_bytes };
	char numbers[5][NUMBER_SIZE];

	for (size_t i = 0; i < 5; i++)
		snprintf(numbers[i], sizeof(numbers[i]), "%" PRIu64, values[i]);
	return database_result(database_run(pg, NULL, err,
	    "INSERT INTO mq.filesystems (filesystem, host, status, max_users, "
	    "cur_users, max_size, cur_size) VALUES ($1, $2, $3, $4, $5, $6, $7) "
	    "ON CONFLICT (filesystem, host) DO UPDATE SET "
	    "status = excluded.status, max_users = excluded.max_users, "
	    "cur_users = excluded.cur_users, max_size = excluded.max_size, "
	    "cur_size = excluded.cur_size, at = now()",
	    item->path, item->host, numbers[0], numbers[1], numbers[2],
	    numbers[3], numbers[4], NULL));
}

enum admin_result
filesystems_put(const struct home *home, const struct filesystem *filesystem,
    struct error *err)
{
	int is_pgsql = database_is_store(home->control, err);
	AUTO(pg_free) struct pg *pg = NULL;
	enum admin_result result;

	if (is_pgsql != 1)
		return is_pgsql == -1
		    ? ADMIN_FAILED
		    : edit_file(home, filesystem, NULL, NULL, err);
	result = database_open(home->control, true, &pg, err);
	return result == ADMIN_OK ? put_row(pg, filesystem, err) : result;
}

enum admin_result
filesystems_remove(const struct home *home, const char *path, const char *host,
    struct error *err)
{
	int is_pgsql = database_is_store(home->control, err);
	AUTO(pg_free) struct pg *pg = NULL;
	enum admin_result result;

	if (is_pgsql != 1)
		return is_pgsql == -1 ? ADMIN_FAILED
				      : edit_file(home, NULL, path, host, err);
	result = database_open(home->control, true, &pg, err);
	if (result != ADMIN_OK)
		return result;
	return database_result(database_run(pg, NULL, err,
	    "DELETE FROM mq.filesystems WHERE filesystem = $1 AND host = $2",
	    path, host, NULL));
}

static uint64_t
used_bytes(const char *path, uint64_t *total_out)
{
	struct statvfs st;

	*total_out = 0;
	if (statvfs(path, &st) == -1)
		return 0;
	*total_out = (uint64_t)st.f_blocks * st.f_frsize;
	return (uint64_t)(st.f_blocks - st.f_bavail) * st.f_frsize;
}

double
filesystem_load(const struct filesystem *item)
{
	uint64_t total, used = used_bytes(item->path, &total);
	double by_users = item->max_users == 0
	    ? 0
	    : (double)item->cur_users / (double)item->max_users;
	double by_bytes = total == 0 ? 0 : (double)used / (double)total;

	if (item->max_bytes > 0 &&
	    (double)used / (double)item->max_bytes > by_bytes)
		by_bytes = (double)used / (double)item->max_bytes;
	return by_users > by_bytes ? by_users : by_bytes;
}

/* Of equal loads the one with fewer users. */
static bool
has_more_room(const struct filesystem *item, const struct filesystem *best)
{
	double load = filesystem_load(item), other = filesystem_load(best);

	return load < other ||
	    (load <= other && item->cur_users < best->cur_users);
}

enum admin_result
filesystems_choose(
    const struct home *home, struct buf *path_out, struct error *err)
{
	OWN_TEXT host = filesystems_host(home);
	AUTO(filesystems_release)
	struct filesystems list = { .items = NULL };
	const struct filesystem *best = NULL;
	enum admin_result result = filesystems_load(home, &list, err);

	buf_reset(path_out);
	for (size_t i = 0; result == ADMIN_OK && i < list.count; i++) {
		const struct filesystem *item = &list.items[i];

		if (item->is_online && strcmp(item->host, host) == 0 &&
		    filesystem_load(item) < 1 &&
		    (best == NULL || has_more_room(item, best)))
			best = item;
	}
	if (result != ADMIN_OK)
		return result;
	if (best == NULL)
		return admin_refuse(err,
		    "no filesystem of '%s' is online and has room: vfstab -s "
		    "shows them",
		    host);
	buf_adds(path_out, best->path);
	return ADMIN_OK;
}

enum admin_result
filesystems_add_users(
    const struct home *home, const char *path, size_t count, struct error *err)
{
	OWN_TEXT host = filesystems_host(home);
	AUTO(filesystems_release)
	struct filesystems list = { .items = NULL };
	struct filesystem *item;
	enum admin_result result = filesystems_load(home, &list, err);
	uint64_t total;

	if (result != ADMIN_OK)
		return result;
	item = filesystems_find(&list, path, host);
	if (item == NULL)
		return ADMIN_OK;
	item->cur_users += count;
	item->cur_bytes = used_bytes(path, &total);
	return filesystems_put(home, item, err);
}

/* Adds the users of one domain. */
static enum admin_result
count_domain(const struct users_at *at, struct filesystems *list,
    const char *host, struct error *err)
{
	AUTO(users_close) struct users *users = NULL;
	enum admin_result result = users_open_to_read(at, &users, err);
	const struct vpasswd_entry *entry;
	int found = 0;

	while (
	    result == ADMIN_OK && (found = users_next(users, &entry, err)) == 1)
		for (size_t i = 0; i < list->count; i++)
			if (strcmp(list->items[i].host, host) == 0 &&
			    users_is_within(entry->dir, list->items[i].path))
				list->items[i].cur_users++;
	return result == ADMIN_OK ? admin_result_of(found) : result;
}

struct counting {
	struct filesystems *list;
	const char *host;
};

static enum admin_result
count_of_domain(const struct users_at *at, void *context, struct error *err)
{
	struct counting *counting = context;

	return count_domain(at, counting->list, counting->host, err);
}

enum admin_result
filesystems_count(const struct home *home, struct error *err)
{
	OWN_TEXT host = filesystems_host(home);
	AUTO(filesystems_release)
	struct filesystems list = { .items = NULL };
	struct counting counting = { &list, host };
	enum admin_result result = filesystems_load(home, &list, err);
	uint64_t total;

	for (size_t i = 0; i < list.count; i++)
		if (strcmp(list.items[i].host, host) == 0)
			list.items[i].cur_users = 0;
	if (result == ADMIN_OK)
		result = domain_list_each(
		    home, count_of_domain, &counting, err);
	for (size_t i = 0; result == ADMIN_OK && i < list.count; i++) {
		if (strcmp(list.items[i].host, host) != 0)
			continue;
		list.items[i].cur_bytes = used_bytes(
		    list.items[i].path, &total);
		result = filesystems_put(home, &list.items[i], err);
	}
	return result;
}
