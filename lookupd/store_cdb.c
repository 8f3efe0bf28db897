/* SPDX-License-Identifier: ISC */
/*
 * The cdb store of one node: users/cdb names a domain's folder, and
 * vpasswd.cdb in it has the users (vpasswd(5)).
 */
#include "lookupd/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "control/assign.h"
#include "control/home.h"
#include "control/layout.h"
#include "lookupd/cdb_cache.h"
#include "lookupd/store_backend.h"
#include "lookupd/vpasswd.h"

struct cdb_store {
	struct store store; /* first: the backend's functions cast back */
	struct cdb_cache *cache;
	char *users_dir;
	char *assign_text;
	char *assign_cdb;
};

static struct cdb_store *
of_store(struct store *store)
{
	return (struct cdb_store *)store;
}

/*
 * Without users/cdb: no virtual domains, if there is no users/assign either
 * and the folder is there to say so.  0 or -1.
 */
static int
explain_missing_cdb(const struct cdb_store *self, struct error *err)
{
	if (access(self->assign_text, F_OK) == 0 || errno != ENOENT)
		return error_set(
		    err, "'%s' is missing: run qmail-newu", self->assign_cdb);
	if (access(self->users_dir, X_OK) == -1)
		return error_sys(err, "cannot look into '%s'", self->users_dir);
	return 0;
}

/*
 * The line of a virtual domain is +DOMAIN-:REALDOMAIN:uid:gid:DIR:-::
 * A match that leaves an extension is some shorter line's, such as the
 * catch-all's, and no virtual domain.
 */
static int
find_domain_line(struct cdb_store *self, const char *domain,
    unsigned max_age_ms, struct assign_entry *entry_out, struct error *err)
{
	char key[STORE_DOMAIN_MAX + 2];
	struct cdb_cache_entry *cached;
	int result;

	result = cdb_cache_acquire(
	    self->cache, self->assign_cdb, max_age_ms, &cached, err);
	if (result == 0)
		return explain_missing_cdb(self, err);
	if (result == -1)
		return -1;
	snprintf(key, sizeof(key), "%s-", domain);
	result = assign_find(cdb_cache_map(cached), key, entry_out, err);
	cdb_cache_release(self->cache, cached);
	if (result == 1 &&
	    (*entry_out->extension != '\0' ||
		strcmp(entry_out->dash, "-") != 0)) {
		assign_release(entry_out);
		result = 0;
	}
	/* It may have come, or the file been mended, meanwhile. */
	if (result != 1 && max_age_ms > 0)
		return find_domain_line(self, domain, 0, entry_out, err);
	return result;
}

static int
cdb_find_domain(struct store *store, const char *domain,
    struct store_domain *domain_out, struct error *err)
{
	struct assign_entry entry;
	int result = find_domain_line(
	    of_store(store), domain, store->max_age_ms, &entry, err);

	if (result != 1)
		return result;
	domain_out->storage = entry.storage; /* the texts point into it */
	domain_out->name = entry.user;
	domain_out->dir = entry.home;
	domain_out->uid = entry.uid;
	domain_out->gid = entry.gid;
	domain_out->is_alias = strcmp(entry.user, domain) != 0;
	return 1;
}

/* Fills user_out from the domain's vpasswd.cdb at path. */
static int
read_cdb_user(struct cdb_store *self, const char *path, const char *local,
    unsigned max_age_ms, struct store_user *user_out, struct error *err)
{
	struct buf *storage = &user_out->storage;
	size_t start = storage->length;
	struct cdb_cache_entry *cached;
	struct vpasswd_entry entry;
	int result;

	result = cdb_cache_acquire(self->cache, path, max_age_ms, &cached, err);
	if (result == 0)
		return error_set(
		    err, "'%s' is missing: make it again with vmkpasswd", path);
	if (result == -1)
		return -1;
	result = cdbmap_get(
	    cdb_cache_map(cached), local, strlen(local), storage, err);
	cdb_cache_release(self->cache, cached);
	if (result != 1 && max_age_ms > 0)
		return read_cdb_user(self, path, local, 0, user_out, err);
	if (result != 1)
		return result;
	if (vpasswd_parse_value(storage->data, storage->data + start,
		storage->length - start, &entry, err) == -1)
		return error_context(err, "'%s': user '%s'", path, local);
	user_out->name = entry.name;
	user_out->dir = entry.dir;
	user_out->quota = entry.quota;
	user_out->flags = entry.gid_flags;
	user_out->is_active = (entry.uid_flags & VPASSWD_INACTIVE) == 0;
	return 1;
}

static int
cdb_find_user(struct store *store, const char *local, const char *domain,
    struct store_user *user_out, struct error *err)
{
	struct cdb_store *self = of_store(store);
	struct assign_entry assign;
	OWN_TEXT path = NULL;
	size_t domain_at;
	int result = find_domain_line(
	    self, domain, store->max_age_ms, &assign, err);

	if (result != 1)
		return result;
	/* One piece of memory: local part, domain, then the value. */
	buf_reserve(&user_out->storage, 512);
	buf_add(&user_out->storage, local, strlen(local) + 1);
	domain_at = user_out->storage.length;
	buf_add(&user_out->storage, assign.user, strlen(assign.user) + 1);
	path = layout_domain_path(assign.home, LAYOUT_vpasswd_cdb);
	assign_release(&assign);
	result = read_cdb_user(
	    self, path, local, store->max_age_ms, user_out, err);
	if (result == 1)
		user_out->domain = user_out->storage.data + domain_at;
	return result;
}

/*
 * "{SCRAM-SHA-256}ITERATIONS,SALT,STORED,SERVER,HASH" is a verifier and, unless
 * it is left out, a hash of the same password.
 */
static void
split_hash(struct store_password *password, char *field)
{
	char *comma = field - 1;

	password->hash = field;
	if (strncmp(field, "{SCRAM-", 7) != 0)
		return;
	password->scram = field;
	for (unsigned i = 0; i < 4 && comma != NULL; i++)
		comma = strchr(comma + 1, ',');
	password->hash = VPASSWD_NO_PASSWORD;
	if (comma == NULL)
		return;
	*comma = '\0';
	if (comma[1] != '\0')
		password->hash = comma + 1;
}

/* Of the file as it is now: who changes a password means at once. */
static int
cdb_find_password(struct store *store, const char *local, const char *domain,
    struct store_password *password_out, struct error *err)
{
	struct cdb_store *self = of_store(store);
	struct buf *storage = &password_out->storage;
	struct assign_entry assign;
	OWN_TEXT path = NULL;
	size_t domain_at, start;
	struct cdb_cache_entry *cached;
	struct vpasswd_entry entry;
	int result = find_domain_line(self, domain, 0, &assign, err);

	if (result != 1)
		return result;
	/* So large that it does not move, and leave secrets behind. */
	buf_reserve(storage, 8192);
	buf_add(storage, local, strlen(local) + 1);
	domain_at = storage->length;
	buf_add(storage, assign.user, strlen(assign.user) + 1);
	start = storage->length;
	password_out->uid = assign.uid;
	password_out->gid = assign.gid;
	path = layout_domain_path(assign.home, LAYOUT_vpasswd_cdb);
	assign_release(&assign);
	result = cdb_cache_acquire(self->cache, path, 0, &cached, err);
	if (result == 0)
		return error_set(
		    err, "'%s' is missing: make it again with vmkpasswd", path);
	if (result == -1)
		return -1;
	result = cdbmap_get(
	    cdb_cache_map(cached), local, strlen(local), storage, err);
	cdb_cache_release(self->cache, cached);
	if (result != 1)
		return result;
	if (vpasswd_parse_value(storage->data, storage->data + start,
		storage->length - start, &entry, err) == -1)
		return error_context(err, "'%s': user '%s'", path, local);
	password_out->name = entry.name;
	password_out->domain = storage->data + domain_at;
	password_out->dir = entry.dir;
	password_out->quota = entry.quota;
	password_out->flags = entry.gid_flags;
	password_out->is_active = (entry.uid_flags & VPASSWD_INACTIVE) == 0;
	if (entry.clear != NULL && *entry.clear != '\0')
		password_out->secret = entry.clear;
	split_hash(password_out, storage->data + (entry.hash - storage->data));
	return 1;
}

static void
cdb_destroy(struct store *store)
{
	struct cdb_store *self = of_store(store);

	cdb_cache_free(&self->cache);
	free(self->users_dir);
	free(self->assign_text);
	free(self->assign_cdb);
	free(self);
}

static const struct store_backend cdb_backend = {
	.find_domain = cdb_find_domain,
	.find_user = cdb_find_user,
	.find_password = cdb_find_password,
	.destroy = cdb_destroy,
};

struct store *
store_open_cdb(const char *home_root, struct error *err)
{
	AUTO(home_free) struct home *home = home_at(home_root);
	struct cdb_store *self;

	if (access(home->users, F_OK) == -1) {
		error_sys(err,
		    "cannot find the node's folder '%s' (MQMAIL_HOME names "
		    "the node)",
		    home->users);
		return NULL;
	}
	self = xcalloc(1, sizeof(*self));
	self->store.backend = &cdb_backend;
	self->cache = cdb_cache_new(STORE_CDB_FDS);
	self->users_dir = xstrdup(home->users);
	self->assign_text = layout_path(home, LAYOUT_assign);
	self->assign_cdb = layout_path(home, LAYOUT_assign_cdb);
	return &self->store;
}
