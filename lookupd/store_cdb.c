/* SPDX-License-Identifier: ISC */
/*
 * The cdb store of one node: users/cdb names a domain's folder, and
 * vpasswd.cdb in it has the users (vpasswd(5)).
 */
#include "lookupd/store.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "control/cdb_cache.h"
#include "control/home.h"
#include "control/layout.h"
#include "lookupd/domain_files.h"
#include "lookupd/domains.h"
#include "lookupd/logins.h"
#include "lookupd/store_backend.h"
#include "lookupd/vpasswd.h"

struct cdb_store {
	struct store store; /* first: the backend's functions cast back */
	struct cdb_cache *cache;
	struct domains *domains;
	char *logins_dir;
};

static struct cdb_store *
of_store(struct store *store)
{
	return (struct cdb_store *)store;
}

static int
cdb_find_domain(struct store *store, const char *domain,
    struct store_domain *domain_out, struct error *err)
{
	return domains_find(of_store(store)->domains, domain,
	    store->max_age_ms, domain_out, err);
}

/*
 * The user's line in the vpasswd.cdb at path: it goes behind what storage
 * holds, and the entry's texts point into storage.
 */
static int
read_cdb_user(struct cdb_store *self, const char *path, const char *local,
    unsigned max_age_ms, struct buf *storage, struct vpasswd_entry *entry_out,
    struct error *err)
{
	size_t start = storage->length;
	struct cdb_cache_entry *cached;
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
		return read_cdb_user(
		    self, path, local, 0, storage, entry_out, err);
	if (result != 1)
		return result;
	if (vpasswd_parse_value(storage->data, storage->data + start,
		storage->length - start, entry_out, err) == -1)
		return error_context(err, "'%s': user '%s'", path, local);
	return 1;
}

/*
 * A user of the domain: local part, domain and the line in one piece of memory,
 * storage, which entry_out and *domain_name_out point into.
 */
static int
find_entry(struct cdb_store *self, const char *local,
    const struct store_domain *domain, unsigned max_age_ms, struct buf *storage,
    struct vpasswd_entry *entry_out, const char **domain_name_out,
    struct error *err)
{
	OWN_TEXT path = layout_domain_path(domain->dir, LAYOUT_vpasswd_cdb);
	size_t domain_at;
	int result;

	buf_reserve(storage, 512);
	buf_add(storage, local, strlen(local) + 1);
	domain_at = storage->length;
	buf_add(storage, domain->name, strlen(domain->name) + 1);
	result = read_cdb_user(
	    self, path, local, max_age_ms, storage, entry_out, err);
	*domain_name_out = storage->data + domain_at;
	return result;
}

static int
cdb_find_user(struct store *store, const char *local, const char *domain,
    struct store_user *user_out, struct error *err)
{
	AUTO(store_domain_release)
	struct store_domain found = { .storage = BUF_INIT };
	struct vpasswd_entry entry;
	int result = cdb_find_domain(store, domain, &found, err);

	if (result == 1)
		result = find_entry(of_store(store), local, &found,
		    store->max_age_ms, &user_out->storage, &entry,
		    &user_out->domain, err);
	if (result != 1)
		return result;
	user_out->name = entry.name;
	user_out->dir = entry.dir;
	user_out->quota = entry.quota;
	user_out->flags = entry.gid_flags;
	user_out->is_active = (entry.uid_flags & VPASSWD_INACTIVE) == 0;
	user_out->store = "";
	return 1;
}

/* A file of limits in a folder.  1, 0 or -1. */
static int
read_limits(const char *folder, const char *name,
    struct store_limits *limits_out, struct error *err)
{
	OWN_TEXT path = xasprintf("%s/%s", folder, name);

	*limits_out = (struct store_limits){ .values = { 0 } };
	return domain_files_limits(path, limits_out, err);
}

static const char domain_limits_name[] = ".domain_limits";

static int
cdb_find_password(struct store *store, const char *local, const char *domain,
    struct store_password *password_out, struct error *err)
{
	AUTO(store_domain_release)
	struct store_domain found = { .storage = BUF_INIT };
	struct store_limits limits;
	struct vpasswd_entry entry;
	int result = cdb_find_domain(store, domain, &found, err);

	if (result == 1)
		result = find_entry(of_store(store), local, &found, 0,
		    &password_out->storage, &entry, &password_out->domain, err);
	if (result != 1)
		return result;
	password_out->name = entry.name;
	password_out->dir = entry.dir;
	password_out->hash = entry.hash;
	password_out->scram = entry.scram;
	password_out->secret = entry.secret;
	password_out->quota = entry.quota;
	password_out->flags = entry.gid_flags;
	password_out->may_log_in = vpasswd_may_log_in(entry.uid_flags);
	password_out->uid = found.uid;
	password_out->gid = found.gid;
	if ((entry.gid_flags & STORE_OVERRIDE_LIMITS) != 0)
		return 1;
	if (read_limits(found.dir, domain_limits_name, &limits, err) == -1)
		return -1;
	password_out->flags |= store_limits_flags(&limits);
	return 1;
}

static int
cdb_find_alias(struct store *store, const char *local, const char *domain,
    struct store_alias *alias_out, struct error *err)
{
	AUTO(store_domain_release)
	struct store_domain found = { .storage = BUF_INIT };
	int result = cdb_find_domain(store, domain, &found, err);

	return result == 1
	    ? domain_files_alias(found.dir, local, alias_out, err)
	    : result;
}

static int
cdb_find_limits(struct store *store, const char *local, const char *domain,
    struct store_limits *limits_out, struct error *err)
{
	AUTO(store_domain_release)
	struct store_domain found = { .storage = BUF_INIT };
	AUTO(store_user_release) struct store_user user = { .storage = BUF_INIT };
	int result;

	if (local == NULL)
		result = cdb_find_domain(store, domain, &found, err);
	else
		result = cdb_find_user(store, local, domain, &user, err);
	if (result != 1)
		return result;
	return local == NULL
	    ? read_limits(found.dir, domain_limits_name, limits_out, err)
	    : read_limits(user.dir, ".limits", limits_out, err);
}

static int
cdb_find_filters(struct store *store, const char *local, const char *domain,
    struct store_filters *filters_out, struct error *err)
{
	AUTO(store_user_release) struct store_user user = { .storage = BUF_INIT };
	OWN_TEXT path = NULL;
	int result = cdb_find_user(store, local, domain, &user, err);

	if (result != 1)
		return result;
	path = xasprintf("%s/.vfilter", user.dir);
	return domain_files_filters(path, filters_out, err);
}

static int
cdb_find_relay(struct store *store, const char *local, const char *domain,
    const char *ip, unsigned max_age_s, struct error *err)
{
	AUTO(store_domain_release)
	struct store_domain found = { .storage = BUF_INIT };
	int result = cdb_find_domain(store, domain, &found, err);

	return result == 1 ? logins_find_relay(of_store(store)->logins_dir,
				 local, found.name, ip,
				 (int64_t)time(NULL) - max_age_s, err)
			   : result;
}

static int
cdb_note_login(struct store *store, const char *local, const char *domain,
    const struct store_login *login, struct error *err)
{
	AUTO(store_domain_release)
	struct store_domain found = { .storage = BUF_INIT };
	int result = cdb_find_domain(store, domain, &found, err);

	if (result == 0)
		error_set(err, "there is no domain '%s'", domain);
	return result == 1 ? logins_note(of_store(store)->logins_dir, local,
				 found.name, login, time(NULL), err)
			   : -1;
}

static void
cdb_destroy(struct store *store)
{
	struct cdb_store *self = of_store(store);

	domains_free(&self->domains);
	cdb_cache_free(&self->cache);
	free(self->logins_dir);
	free(self);
}

static const struct store_backend cdb_backend = {
	.find_domain = cdb_find_domain,
	.find_user = cdb_find_user,
	.find_password = cdb_find_password,
	.find_alias = cdb_find_alias,
	.find_limits = cdb_find_limits,
	.find_filters = cdb_find_filters,
	.find_relay = cdb_find_relay,
	.note_login = cdb_note_login,
	.has_filter_files = true,
	.destroy = cdb_destroy,
};

struct store *
store_open_cdb(const char *home_root, struct error *err)
{
	AUTO(home_free) struct home *home = home_at(home_root);
	struct cdb_store *self = xcalloc(1, sizeof(*self));

	self->store.backend = &cdb_backend;
	self->cache = cdb_cache_new(STORE_CDB_FDS);
	self->logins_dir = layout_path(home, LAYOUT_logins);
	self->domains = domains_new(home, self->cache, err);
	if (self->domains != NULL)
		return &self->store;
	cdb_destroy(&self->store);
	return NULL;
}
