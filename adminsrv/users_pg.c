/* SPDX-License-Identifier: ISC */
/* A domain's users in the database. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adminsrv/database.h"
#include "adminsrv/records_backend.h"
#include "adminsrv/users_backend.h"
#include "base/mem.h"

enum {
	PAGE_ROWS = 10000,     /* of a walk */
	NAMES_AT_ONCE = 10000, /* that are looked for */
	COPY_BYTES = 64 * 1024
};

#define COLUMNS "name, hash, uid_flags, flags, gecos, dir, quota, scram, secret"

/* An answer of one row. */
struct found_user {
	struct found_user *next;
	struct pg_result *result;
	struct vpasswd_entry entry;
};

struct pg_users {
	struct pg *pg;
	char id[24]; /* the domain's */
	bool is_changed;
	struct found_user *found; /* until a user is changed */

	/* The walk: a page of rows in the order of names. */
	struct pg_result *page;
	size_t row;
	struct vpasswd_entry entry;
	char *last_name;
	bool is_last_page;
};

static struct pg_users *
pg_of(struct users *users)
{
	return users->state;
}

enum admin_result
users_pg_connect(struct users *users, const char *control_dir, bool is_writer,
    struct error *err)
{
	struct pg_users *self = xcalloc(1, sizeof(*self));

	users->state = self;
	return database_open(control_dir, is_writer, &self->pg, err);
}

static void
forget_found(struct pg_users *self)
{
	while (self->found != NULL) {
		struct found_user *found = self->found;

		self->found = found->next;
		pg_result_free(&found->result);
		free(found);
	}
}

static void
db_rewind(struct users *users)
{
	struct pg_users *self = pg_of(users);

	pg_result_free(&self->page);
	free(self->last_name);
	self->last_name = NULL;
	self->is_last_page = false;
}

/* Old rows of the change log go with those who write new ones. */
static void
prune_changes(struct pg_users *self)
{
	struct error ignored;

	database_run(
	    self->pg, NULL, &ignored, "SELECT mq.prune_changes('1 day')", NULL);
}

static void
db_unload(struct users *users)
{
	struct pg_users *self = pg_of(users);

	if (self->pg != NULL && self->is_changed)
		prune_changes(self);
	db_rewind(users);
	forget_found(self);
	pg_free(&self->pg);
	free(self);
}

/* A new domain's row, or that of one that was kept without its node. */
static enum pg_status
put_domain(struct pg_users *self, const char *domain, struct pg_result **result,
    struct error *err)
{
	return database_run(self->pg, result, err,
	    "INSERT INTO mq.domains (name) VALUES ($1) "
	    "ON CONFLICT (name) DO UPDATE SET is_active = true "
	    "RETURNING id, is_clustered",
	    domain, NULL);
}

static enum admin_result
db_load(struct users *users, bool is_new, struct error *err)
{
	struct pg_users *self = pg_of(users);
	AUTO(pg_result_free) struct pg_result *result = NULL;
	enum pg_status status = database_run(self->pg, &result, err,
	    "SELECT id, is_clustered FROM mq.domains WHERE name = $1 "
	    "AND (is_active OR $2::boolean)",
	    users->domain, users->is_leaving ? "true" : "false", NULL);

	/* Who removes it holds its row; without one nobody has number 0. */
	if (status == PG_OK && pg_rows(result) == 0 && users->is_leaving) {
		snprintf(self->id, sizeof(self->id), "0");
		return ADMIN_OK;
	}
	if (status == PG_OK && pg_rows(result) == 0 && is_new) {
		pg_result_free(&result);
		status = put_domain(self, users->domain, &result, err);
	}
	if (status != PG_OK)
		return ADMIN_FAILED;
	if (pg_rows(result) == 0) {
		error_set(err,
		    "the domain '%s' is not in the database: vconvert copies "
		    "its users there, vadddomain makes it a new one",
		    users->domain);
		return ADMIN_FAILED;
	}
	snprintf(self->id, sizeof(self->id), "%s", pg_text(result, 0, 0));
	users->is_clustered = pg_bool(result, 0, 1);
	return ADMIN_OK;
}

/* The texts are the result's. */
static void
read_entry(
    const struct pg_result *result, size_t row, struct vpasswd_entry *entry_out)
{
	*entry_out = (struct vpasswd_entry){
		.name = pg_text(result, row, 0),
		.hash = pg_text(result, row, 1),
		.uid_flags = (unsigned)pg_number(result, row, 2),
		.gid_flags = (unsigned)pg_number(result, row, 3),
		.gecos = pg_text(result, row, 4),
		.dir = pg_text(result, row, 5),
		.quota = pg_text(result, row, 6),
		.scram = pg_text(result, row, 7),
		.secret = pg_text(result, row, 8),
	};
}

static int
db_find(struct users *users, const char *name,
    const struct vpasswd_entry **entry_out, struct error *err)
{
	struct pg_users *self = pg_of(users);
	struct pg_result *result;
	struct found_user *found;

	*entry_out = NULL;
	if (database_run(self->pg, &result, err,
		"SELECT " COLUMNS " FROM mq.users "
		"WHERE domain_id = $1 AND name = $2",
		self->id, name, NULL) != PG_OK)
		return -1;
	if (pg_rows(result) == 0) {
		pg_result_free(&result);
		return 0;
	}
	found = xcalloc(1, sizeof(*found));
	found->result = result;
	read_entry(result, 0, &found->entry);
	found->next = self->found;
	self->found = found;
	*entry_out = &found->entry;
	return 1;
}

/* The next page, behind the last name.  0 or -1. */
static int
read_page(struct pg_users *self, struct error *err)
{
	static const struct pg_statement statement = { NULL,
		"SELECT " COLUMNS " FROM mq.users "
		"WHERE domain_id = $1 AND name > $2 ORDER BY name LIMIT $3" };
	char rows[16];
	const char *params[] = { self->id,
		self->last_name == NULL ? "" : self->last_name, rows };

	snprintf(rows, sizeof(rows), "%d", PAGE_ROWS);
	pg_result_free(&self->page);
	if (pg_run(self->pg, &statement, params, 3, DATABASE_MS, &self->page,
		err) != PG_OK)
		return -1;
	self->row = 0;
	self->is_last_page = pg_rows(self->page) < PAGE_ROWS;
	return 0;
}

static int
db_next(struct users *users, const struct vpasswd_entry **entry_out,
    struct error *err)
{
	struct pg_users *self = pg_of(users);

	if (self->page == NULL || self->row == pg_rows(self->page)) {
		if (self->page != NULL && self->is_last_page)
			return 0;
		if (read_page(self, err) == -1)
			return -1;
		if (pg_rows(self->page) == 0)
			return 0;
	}
	read_entry(self->page, self->row++, &self->entry);
	free(self->last_name);
	self->last_name = xstrdup(self->entry.name);
	*entry_out = &self->entry;
	return 1;
}

static int
db_count(struct users *users, uint64_t *count_out, struct error *err)
{
	struct pg_users *self = pg_of(users);
	AUTO(pg_result_free) struct pg_result *result = NULL;

	if (database_run(self->pg, &result, err,
		"SELECT count(*) FROM mq.users "
		"WHERE domain_id = $1 AND name <> 'postmaster'",
		self->id, NULL) != PG_OK)
		return -1;
	*count_out = (uint64_t)pg_number(result, 0, 0);
	return 0;
}

static int
db_count_folders(struct users *users, struct dirhash *hash, struct error *err)
{
	struct pg_users *self = pg_of(users);
	AUTO(pg_result_free) struct pg_result *result = NULL;

	if (database_run(self->pg, &result, err,
		"SELECT folder, users FROM mq.dir_control "
		"WHERE domain_id = $1 AND users > 0",
		self->id, NULL) != PG_OK)
		return -1;
	for (size_t i = 0; i < pg_rows(result); i++)
		dirhash_count_folder(hash, pg_text(result, i, 0),
		    (uint64_t)pg_number(result, i, 1));
	return 0;
}

/* One of at most NAMES_AT_ONCE. */
static int
find_any_of(struct pg_users *self, const struct users_new *new, size_t count,
    const char **name_out, struct error *err)
{
	AUTO(mem_free) const char **names = xcalloc(count, sizeof(*names));
	AUTO(buf_release) struct buf array = BUF_INIT;
	AUTO(pg_result_free) struct pg_result *result = NULL;
	int found = 0;

	for (size_t i = 0; i < count; i++)
		names[i] = new[i].name;
	pg_array(&array, names, count);
	if (database_run(self->pg, &result, err,
		"SELECT name FROM mq.users WHERE domain_id = $1 "
		"AND name = ANY($2::text[]) LIMIT 1",
		self->id, array.data, NULL) != PG_OK)
		return -1;
	for (size_t i = 0; found == 0 && pg_rows(result) > 0 && i < count; i++)
		if (strcmp(names[i], pg_text(result, 0, 0)) == 0) {
			*name_out = names[i];
			found = 1;
		}
	return found;
}

static int
db_find_any(struct users *users, const struct users_new *new, size_t count,
    const char **name_out, struct error *err)
{
	int found = 0;

	for (size_t at = 0; found == 0 && at < count; at += NAMES_AT_ONCE)
		found = find_any_of(pg_of(users), new + at,
		    count - at < NAMES_AT_ONCE ? count - at : NAMES_AT_ONCE,
		    name_out, err);
	return found;
}

/* The folder, with and without '/', and those above it. */
static void
put_ancestors(const char *dir, struct buf *array)
{
	OWN_TEXT at = xstrdup(dir);
	size_t length = strlen(at);
	char *slash;

	buf_addc(array, '{');
	while (length > 1 && at[length - 1] == '/')
		at[--length] = '\0';
	for (bool is_first = true; *at != '\0'; is_first = false) {
		OWN_TEXT open = xasprintf("%s/", at);
		const char *const both[] = { at, open };
		AUTO(buf_release) struct buf pair = BUF_INIT;

		pg_array(&pair, both, 2);
		buf_addf(array, "%s%.*s", is_first ? "" : ",",
		    (int)pair.length - 2, pair.data + 1);
		slash = strrchr(at, '/');
		*slash = '\0';
	}
	buf_addc(array, '}');
}

static int
db_is_shared(
    struct users *users, const char *name, const char *dir, struct error *err)
{
	struct pg_users *self = pg_of(users);
	AUTO(buf_release) struct buf above = BUF_INIT;
	AUTO(pg_result_free) struct pg_result *result = NULL;

	put_ancestors(dir, &above);
	if (database_run(self->pg, &result, err,
		"SELECT EXISTS (SELECT 1 FROM mq.users "
		"WHERE dir = ANY($1::text[]) "
		"AND NOT (domain_id = $2 AND name = $3)) "
		"OR EXISTS (SELECT 1 FROM mq.dir_control WHERE users > 0 "
		"AND (folder = rtrim($4, '/') "
		"OR starts_with(folder, rtrim($4, '/') || '/')))",
		above.data, self->id, name, dir, NULL) != PG_OK)
		return -1;
	return pg_bool(result, 0, 0);
}

/* store_id NULL: none. */
static void
put_copy_line(struct buf *line, const char *id,
    const struct vpasswd_entry *entry, const char *store_id)
{
	const char *const texts[] = { entry->gecos, entry->dir, entry->quota,
		entry->scram, entry->secret };

	buf_adds(line, id);
	buf_addc(line, '\t');
	pg_copy_field(line, entry->name);
	buf_addc(line, '\t');
	pg_copy_field(line, entry->hash);
	buf_addf(line, "\t%u\t%u", entry->uid_flags, entry->gid_flags);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		buf_addc(line, '\t');
		pg_copy_field(line, texts[i]);
	}
	if (store_id != NULL)
		buf_addf(line, "\t%s", store_id);
	buf_addc(line, '\n');
}

/* store_ids: of each; or NULL. */
static enum pg_status
copy_entries(struct pg_users *self, const char *table,
    const struct vpasswd_entry *entries, const char *const *store_ids,
    size_t count, struct error *err)
{
	OWN_TEXT sql = xasprintf("COPY %s (domain_id, " COLUMNS "%s) "
				 "FROM STDIN",
	    table, store_ids == NULL ? "" : ", store_id");
	AUTO(buf_release) struct buf text = BUF_INIT;
	enum pg_status status = pg_copy_begin(self->pg, sql, err);

	for (size_t i = 0; status == PG_OK && i < count; i++) {
		put_copy_line(&text, self->id, &entries[i],
		    store_ids == NULL ? NULL : store_ids[i]);
		if (text.length >= COPY_BYTES || i == count - 1) {
			status = pg_copy_put(
			    self->pg, text.data, text.length, err);
			explicit_bzero(text.data, text.size);
			buf_reset(&text);
		}
	}
	return status == PG_OK ? pg_copy_end(self->pg, DATABASE_LONG_MS, err)
			       : status;
}

/* What becomes of a change that began with pg_begin(). */
static enum admin_result
end_change(struct pg_users *self, enum pg_status status, struct error *err)
{
	bool is_lost_commit = false;

	if (status == PG_OK) {
		status = pg_commit(self->pg, err);
		is_lost_commit = status != PG_OK;
	}
	if (status == PG_OK) {
		forget_found(self);
		self->is_changed = true;
		return ADMIN_OK;
	}
	pg_rollback(self->pg);
	error_context(err, "%s",
	    is_lost_commit ? "it is not known whether this was done"
			   : "nothing was changed");
	return database_result(status);
}

static enum admin_result
db_add(struct users *users, const struct vpasswd_entry *entries, size_t count,
    struct error *err)
{
	struct pg_users *self = pg_of(users);
	enum pg_status status = pg_begin(self->pg, err);

	if (count == 0 || status != PG_OK) {
		pg_rollback(self->pg);
		return database_result(status);
	}
	return end_change(self,
	    copy_entries(self, "mq.users", entries, NULL, count, err), err);
}

/* By a table of this transaction, since COPY knows no conflicts. */
static enum admin_result
db_put(struct users *users, const struct vpasswd_entry *entries, size_t count,
    struct error *err)
{
	struct pg_users *self = pg_of(users);
	enum pg_status status = pg_begin(self->pg, err);

	if (status == PG_OK)
		status = pg_script(self->pg,
		    "CREATE TEMP TABLE new_users ON COMMIT DROP AS "
		    "SELECT domain_id, " COLUMNS " FROM mq.users LIMIT 0",
		    DATABASE_MS, err);
	if (status == PG_OK)
		status = copy_entries(
		    self, "pg_temp.new_users", entries, NULL, count, err);
	if (status == PG_OK)
		status = pg_script(self->pg,
		    "INSERT INTO mq.users AS u (domain_id, " COLUMNS ") "
		    "SELECT * FROM pg_temp.new_users ORDER BY name "
		    "ON CONFLICT (domain_id, name) DO UPDATE SET "
		    "hash = excluded.hash, uid_flags = excluded.uid_flags, "
		    "flags = excluded.flags, gecos = excluded.gecos, "
		    "dir = excluded.dir, quota = excluded.quota, "
		    "scram = excluded.scram, secret = excluded.secret "
		    "WHERE (u.hash, u.uid_flags, u.flags, u.gecos, u.dir, "
		    "u.quota, u.scram, u.secret) IS DISTINCT FROM "
		    "(excluded.hash, excluded.uid_flags, excluded.flags, "
		    "excluded.gecos, excluded.dir, excluded.quota, "
		    "excluded.scram, excluded.secret)",
		    DATABASE_LONG_MS, err);
	return end_change(self, status, err);
}

static enum admin_result
db_change(
    struct users *users, const struct vpasswd_entry *entry, struct error *err)
{
	static const struct pg_statement statement = { NULL,
		"UPDATE mq.users SET hash = $3, uid_flags = $4, flags = $5, "
		"gecos = $6, dir = $7, quota = $8, scram = $9, secret = $10 "
		"WHERE domain_id = $1 AND name = $2" };
	struct pg_users *self = pg_of(users);
	char uid_flags[16], gid_flags[16];
	const char *params[] = { self->id, entry->name, entry->hash, uid_flags,
		gid_flags, entry->gecos, entry->dir, entry->quota, entry->scram,
		entry->secret };
	AUTO(pg_result_free) struct pg_result *result = NULL;
	enum pg_status status;

	snprintf(uid_flags, sizeof(uid_flags), "%u", entry->uid_flags);
	snprintf(gid_flags, sizeof(gid_flags), "%u", entry->gid_flags);
	status = pg_begin(self->pg, err);
	if (status == PG_OK)
		status = pg_run(self->pg, &statement, params,
		    sizeof(params) / sizeof(params[0]), DATABASE_MS, &result,
		    err);
	if (status == PG_OK && pg_changed(result) == 0) {
		error_set(err, "user '%s' has gone meanwhile", entry->name);
		status = PG_REFUSED;
	}
	return end_change(self, status, err);
}

/* What is of the user by name goes along (lookupd/schema/002.sql). */
static enum admin_result
db_rename(struct users *users, const char *name,
    const struct vpasswd_entry *entry, struct error *err)
{
	struct pg_users *self = pg_of(users);
	AUTO(pg_result_free) struct pg_result *result = NULL;
	enum pg_status status = pg_begin(self->pg, err);

	if (status == PG_OK)
		status = database_run(self->pg, &result, err,
		    "UPDATE mq.users SET name = $3, dir = $4 "
		    "WHERE domain_id = $1 AND name = $2",
		    self->id, name, entry->name, entry->dir, NULL);
	if (status == PG_OK && pg_changed(result) == 0) {
		error_set(err, "user '%s' has gone meanwhile", name);
		status = PG_REFUSED;
	}
	return end_change(self, status, err);
}

struct pg *
users_pg_connection(struct users *users, const char **id_out)
{
	*id_out = pg_of(users)->id;
	return pg_of(users)->pg;
}

int
users_pg_texts(struct users *users, const char *sql, const char *name,
    struct strlist *texts, struct error *err)
{
	struct pg_users *self = pg_of(users);
	AUTO(pg_result_free) struct pg_result *result = NULL;

	if (database_run(self->pg, &result, err, sql, self->id, name, NULL) !=
	    PG_OK)
		return -1;
	for (size_t i = 0; i < pg_rows(result); i++)
		strlist_add(texts, pg_text(result, i, 0));
	return pg_rows(result) > 0;
}

enum admin_result
users_pg_end(struct users *users, enum pg_status status, struct error *err)
{
	return end_change(pg_of(users), status, err);
}

enum pg_status
users_pg_copy(struct users *users, const struct vpasswd_entry *entries,
    const char *const *store_ids, size_t count, struct error *err)
{
	return copy_entries(
	    pg_of(users), "mq.users", entries, store_ids, count, err);
}

static enum admin_result
db_remove_begin(struct users *users, const char *name, struct error *err)
{
	struct pg_users *self = pg_of(users);
	AUTO(pg_result_free) struct pg_result *result = NULL;
	enum pg_status status = pg_begin(self->pg, err);

	if (status == PG_OK)
		status = database_run(self->pg, &result, err,
		    "SELECT 1 FROM mq.users WHERE domain_id = $1 AND name = $2 "
		    "FOR UPDATE",
		    self->id, name, NULL);
	if (status == PG_OK && pg_rows(result) == 0) {
		error_set(err, "user '%s' has gone meanwhile", name);
		status = PG_REFUSED;
	}
	return status == PG_OK ? ADMIN_OK : end_change(self, status, err);
}

static enum admin_result
db_remove_end(
    struct users *users, const char *name, bool is_wanted, struct error *err)
{
	struct pg_users *self = pg_of(users);
	enum pg_status status;

	if (!is_wanted) {
		pg_rollback(self->pg);
		return ADMIN_OK;
	}
	status = database_run(self->pg, NULL, err,
	    "DELETE FROM mq.users WHERE domain_id = $1 AND name = $2",
	    self->id, name, NULL);
	return end_change(self, status, err);
}

const struct users_backend users_pg = {
	.records = &records_pg,
	.load = db_load,
	.unload = db_unload,
	.find = db_find,
	.rewind = db_rewind,
	.next = db_next,
	.count = db_count,
	.count_folders = db_count_folders,
	.find_any = db_find_any,
	.is_shared = db_is_shared,
	.add = db_add,
	.put = db_put,
	.change = db_change,
	.rename = db_rename,
	.remove_begin = db_remove_begin,
	.remove_end = db_remove_end,
};
