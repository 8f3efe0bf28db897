/* SPDX-License-Identifier: ISC */
/* One domain's users, opened to be changed. */
#include "adminsrv/users.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adminsrv/database.h"
#include "adminsrv/domain_cluster.h"
#include "adminsrv/dirhash.h"
#include "adminsrv/homes.h"
#include "adminsrv/limits.h"
#include "adminsrv/lock.h"
#include "adminsrv/owner.h"
#include "adminsrv/progress.h"
#include "adminsrv/user_dir.h"
#include "adminsrv/users_backend.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/scan.h"
#include "control/layout.h"
#include "mailbox/quota.h"

/* Of homes_prefix(), and the one of none. */
enum { PREFIXES_MAX = 6 };

/* From so many new users on, one sync of the filesystem is the cheaper one. */
enum { SYNC_EACH_MAX = 16 };

enum admin_result
users_find_domain(const char *home_root, const char *domain,
    struct store_domain *domain_out, struct error *err)
{
	AUTO(store_free) struct store *store = store_open(home_root, err);
	AUTO(home_free) struct home *home = home_at(home_root);
	int found = store == NULL
	    ? -1
	    : store_find_domain(store, domain, domain_out, err);

	/* One of the cluster's may have no folder here yet. */
	if (found == 0 || (found == 1 && access(domain_out->dir, F_OK) == -1)) {
		int clustered = domain_cluster_find(
		    home, found == 1 ? domain_out->name : domain, domain_out,
		    err);

		found = clustered == 0 ? found : clustered;
	}
	if (found != 0)
		return admin_result_of(found);
	return admin_refuse(
	    err, "no virtual domain '%s': add it with vadddomain", domain);
}

struct users_at
users_at(const struct home *home, const struct store_domain *domain)
{
	return (struct users_at){ .control_dir = home->control,
		.domain = domain->name,
		.dir = domain->dir,
		.uid = domain->uid,
		.gid = domain->gid };
}

static struct users *
users_new_at(const struct users_at *at)
{
	struct users *users = xcalloc(1, sizeof(*users));

	users->backend = &users_cdb;
	users->domain = xstrdup(at->domain);
	users->dir = xstrdup(at->dir);
	if (at->control_dir != NULL)
		users->control_dir = xstrdup(at->control_dir);
	users->lock_fd = -1;
	buf_init(&users->own_node);
	users->is_leaving = at->is_leaving;
	return users;
}

static enum admin_result
choose_store(struct users *users, const struct users_at *at, bool is_writer,
    struct error *err)
{
	int is_pgsql = at->store == USERS_BY_SETTING
	    ? database_is_store(at->control_dir, err)
	    : at->store == USERS_PGSQL;

	if (is_pgsql != 1)
		return admin_result_of(is_pgsql);
	if (place_own_node(at->control_dir, &users->own_node, err) == -1)
		return ADMIN_FAILED;
	users->backend = &users_pg;
	return users_pg_connect(users, at->control_dir, is_writer, err);
}

static enum admin_result
lock_users(struct users *users, struct error *err)
{
	OWN_TEXT lock = layout_domain_path(users->dir, LAYOUT_vpasswd_lock);

	users->lock_fd = lock_take(lock, err);
	if (users->lock_fd == -1)
		return ADMIN_FAILED;
	user_dir_sweep(users->dir);
	return ADMIN_OK;
}

/* The database first: as the domain's owner we may not read how to reach it. */
static enum admin_result
open_users_at(const struct users_at *at, bool is_writer, bool is_new,
    bool completes, struct users **users_out, struct error *err)
{
	struct users *users = users_new_at(at);
	enum admin_result result = choose_store(users, at, is_writer, err);

	users->completes = completes;

	if (result == ADMIN_OK && !at->as_we_are) {
		result = owner_enter(at->uid, at->gid, err);
		users->is_entered = result == ADMIN_OK;
	}
	if (result == ADMIN_OK && is_writer)
		result = lock_users(users, err);
	if (result == ADMIN_OK)
		result = users->backend->load(users, is_new, err);
	if (result != ADMIN_OK)
		users_close(&users);
	*users_out = users;
	return result;
}

enum admin_result
users_open(const struct users_at *at, bool is_new, struct users **users_out,
    struct error *err)
{
	return open_users_at(at, true, is_new, true, users_out, err);
}

enum admin_result
users_open_to_read(
    const struct users_at *at, struct users **users_out, struct error *err)
{
	return open_users_at(at, false, false, false, users_out, err);
}

enum admin_result
users_open_named(const char *home_root, const char *domain,
    struct users **users_out, struct error *err)
{
	AUTO(home_free) struct home *home = home_at(home_root);
	AUTO(store_domain_release)
	struct store_domain found = { .name = NULL };
	enum admin_result result = users_find_domain(
	    home_root, domain, &found, err);
	struct users_at at;

	*users_out = NULL;
	if (result != ADMIN_OK)
		return result;
	at = users_at(home, &found);
	return users_open(&at, false, users_out, err);
}

/* Deliveries take a quota that cannot be read for none: told in time. */
static enum admin_result
check_quotas(struct users *users, struct error *err)
{
	const struct vpasswd_entry *entry;
	struct quota quota;
	int found;

	users_rewind(users);
	while ((found = users_next(users, &entry, err)) == 1)
		if (quota_read(entry->quota, &quota, err) == -1) {
			error_context(err, "'%s/vpasswd': user '%s'",
			    users->dir, entry->name);
			return ADMIN_REFUSED;
		}
	return admin_result_of(found);
}

enum admin_result
users_compile(const struct users_at *at, struct error *err)
{
	AUTO(users_close) struct users *users = NULL;
	enum admin_result result = open_users_at(
	    at, true, false, false, &users, err);

	if (result == ADMIN_OK)
		result = check_quotas(users, err);
	if (result == ADMIN_OK && users->backend == &users_cdb)
		result = users_cdb_compile(users, err);
	return result;
}

void
users_close(struct users **users)
{
	if (*users == NULL)
		return;
	(*users)->backend->unload(*users);
	if ((*users)->lock_fd != -1)
		close((*users)->lock_fd);
	if ((*users)->is_entered)
		owner_leave();
	free((*users)->domain);
	free((*users)->dir);
	free((*users)->control_dir);
	free((*users)->base);
	buf_release(&(*users)->own_node);
	free(*users);
	*users = NULL;
}

const char *
users_domain(const struct users *users)
{
	return users->domain;
}

const char *
users_dir(const struct users *users)
{
	return users->dir;
}

/* The limit of users in a folder: .users_per_level, or the most. */
static int
read_limit(const char *domain_dir, unsigned *limit_out, struct error *err)
{
	OWN_TEXT path = xasprintf("%s/.users_per_level", domain_dir);
	AUTO(buf_release) struct buf text = BUF_INIT;
	uint64_t limit = DIRHASH_LIMIT_MAX;
	int result = file_read(path, 64, &text, err);

	if (result == 1 &&
	    (!scan_u64n(text.data, strcspn(text.data, "\n"), DIRHASH_LIMIT_MAX,
		 &limit) ||
		limit == 0))
		result = error_set(err,
		    "'%s' has not a number from 1 to %d in its first line",
		    path, DIRHASH_LIMIT_MAX);
	*limit_out = (unsigned)limit;
	return result == -1 ? -1 : 0;
}

/* Where new users' folders go: one hash for each prefix of a base path. */
struct home_places {
	struct users *users;
	struct buf base; /* empty: the domain's own folder */
	unsigned limit;
	struct {
		const char *prefix;
		struct dirhash *hash;
	} parts[PREFIXES_MAX];
	size_t count;
};

static enum admin_result
home_places_init(struct home_places *places, struct users *users, struct error *err)
{
	*places = (struct home_places){ .users = users };
	buf_init(&places->base);
	if (read_limit(users->dir, &places->limit, err) == -1)
		return ADMIN_FAILED;
	return homes_base(users->control_dir, users->dir, users->base,
		   &places->base, err) == -1
	    ? ADMIN_REFUSED
	    : ADMIN_OK;
}

static void
home_places_release(struct home_places *places)
{
	for (size_t i = 0; i < places->count; i++)
		dirhash_free(&places->parts[i].hash);
	buf_release(&places->base);
}

/* The hash that a user's folder comes from; NULL: it could not be counted. */
static struct dirhash *
home_places_hash(struct home_places *places, const char *name, struct error *err)
{
	struct users *users = places->users;
	bool has_base = places->base.length > 0;
	const char *prefix = has_base ? homes_prefix(name) : "";
	OWN_TEXT folder = has_base
	    ? xasprintf("%s/%s/%s", places->base.data, prefix, users->domain)
	    : xstrdup(users->dir);
	struct dirhash *hash;

	for (size_t i = 0; i < places->count; i++)
		if (strcmp(places->parts[i].prefix, prefix) == 0)
			return places->parts[i].hash;
	hash = dirhash_new(folder, places->limit);
	if (users->backend->count_folders(users, hash, err) == -1) {
		dirhash_free(&hash);
		return NULL;
	}
	places->parts[places->count].prefix = prefix;
	places->parts[places->count++].hash = hash;
	return hash;
}

struct vpasswd_entry
users_new_entry(const struct users_new *new, const char *dir)
{
	return (struct vpasswd_entry){ .name = new->name,
		.hash = new->hash,
		.uid_flags = new->uid_flags,
		.gid_flags = new->flags,
		.gecos = new->gecos,
		.dir = dir,
		.quota = new->quota,
		.scram = new->scram,
		.secret = new->secret };
}

/* Chooses and makes the user's folder, which the entry gets. */
static enum admin_result
make_user(struct dirhash *hash, const struct users_new *new,
    struct vpasswd_entry *entry_out, struct error *err)
{
	AUTO(buf_release) struct buf dir = BUF_INIT;
	AUTO(buf_release) struct buf line = BUF_INIT;
	enum admin_result result;

	if (dirhash_place(hash, new->name, &dir, err) == -1)
		return ADMIN_REFUSED;
	*entry_out = users_new_entry(new, dir.data);
	/* What no line can hold no store takes. */
	if (vpasswd_format(entry_out, &line, err) == -1)
		result = ADMIN_REFUSED;
	else
		result = user_dir_make(dir.data, err);
	if (result != ADMIN_OK)
		error_context(err, "user '%s'", new->name);
	buf_init(&dir); /* the entry's now */
	return result;
}

static int
sync_new(const char *root, const struct vpasswd_entry *entries, size_t count,
    struct error *err)
{
	if (count > SYNC_EACH_MAX)
		return user_dir_sync_all(root, err);
	for (size_t i = 0; i < count; i++)
		if (user_dir_sync(root, entries[i].dir, err) == -1)
			return -1;
	return 0;
}

static enum admin_result
refuse_twice(const struct users *users, const char *name, struct error *err)
{
	return admin_refuse(err,
	    "user '%s' exists already in '%s': vpasswd changes the password, "
	    "vdeluser removes",
	    name, users->dir);
}

static int
compare_names(const void *left, const void *right)
{
	const char *const *a = left, *const *b = right;

	return strcmp(*a, *b);
}

/* Nobody of the list may be there, or be in it twice. */
static enum admin_result
check_are_new(struct users *users, const struct users_new *new, size_t count,
    struct error *err)
{
	AUTO(mem_free) const char **names = xcalloc(count + 1, sizeof(*names));
	const char *name;
	int found = users->backend->find_any(users, new, count, &name, err);

	for (size_t i = 0; i < count; i++)
		names[i] = new[i].name;
	qsort(names, count, sizeof(*names), compare_names);
	for (size_t i = 1; found == 0 && i < count; i++)
		if (strcmp(names[i - 1], names[i]) == 0) {
			name = names[i];
			found = 1;
		}
	return found == 1 ? refuse_twice(users, name, err)
			  : admin_result_of(found);
}

void
users_set_progress(struct users *users, struct progress *progress)
{
	users->progress = progress;
}

/* What make_user() made. */
static void
free_dir(struct vpasswd_entry *entry)
{
	AUTO(mem_free) const char *dir = entry->dir;

	entry->dir = NULL;
}

void
users_set_base(struct users *users, const char *base)
{
	free(users->base);
	users->base = xstrdup(base);
}

int
users_count(struct users *users, uint64_t *count_out, struct error *err)
{
	return users->backend->count(users, count_out, err);
}

/* The folders, then the users. */
static enum admin_result
add_in_places(struct users *users, struct home_places *places,
    const struct users_new *new, struct vpasswd_entry *entries, size_t count,
    struct error *err)
{
	const char *root = places->base.length > 0 ? places->base.data
						   : users->dir;
	enum admin_result result = ADMIN_OK;

	for (size_t i = 0; result == ADMIN_OK && i < count; i++) {
		struct dirhash *hash = home_places_hash(places, new[i].name, err);

		result = hash == NULL
		    ? ADMIN_FAILED
		    : make_user(hash, &new[i], &entries[i], err);
		progress_add(users->progress, 1);
	}
	if (result == ADMIN_OK && sync_new(root, entries, count, err) == -1)
		result = ADMIN_FAILED;
	return result == ADMIN_OK
	    ? users->backend->add(users, entries, count, err)
	    : result;
}

enum admin_result
users_add(struct users *users, const struct users_new *new, size_t count,
    struct error *err)
{
	AUTO(mem_free)
	struct vpasswd_entry *entries = xcalloc(count + 1, sizeof(*entries));
	struct home_places places;
	enum admin_result result = check_are_new(users, new, count, err);

	if (result == ADMIN_OK)
		result = limits_check_accounts(users, new, count, err);
	if (result != ADMIN_OK)
		return result;
	if (users->is_clustered)
		return users_add_placed(users, new, count, err);
	result = home_places_init(&places, users, err);
	if (result == ADMIN_OK)
		result = add_in_places(
		    users, &places, new, entries, count, err);
	home_places_release(&places);
	for (size_t i = 0; i < count; i++)
		free_dir(&entries[i]);
	return result;
}

enum admin_result
users_put(struct users *users, const struct vpasswd_entry *entries,
    size_t count, struct error *err)
{
	return users->backend->put(users, entries, count, err);
}

bool
users_is_clustered(const struct users *users)
{
	return users->is_clustered;
}

enum admin_result
users_find(struct users *users, const char *name,
    const struct vpasswd_entry **entry_out, struct error *err)
{
	int found = users->backend->find(users, name, entry_out, err);

	if (found != 0)
		return admin_result_of(found);
	return admin_refuse(err, "no user '%s' in '%s'", name, users->dir);
}

void
users_rewind(struct users *users)
{
	users->backend->rewind(users);
}

int
users_next(struct users *users, const struct vpasswd_entry **entry_out,
    struct error *err)
{
	return users->backend->next(users, entry_out, err);
}

enum admin_result
users_change(
    struct users *users, const struct vpasswd_entry *entry, struct error *err)
{
	AUTO(buf_release) struct buf line = BUF_INIT;
	const struct vpasswd_entry *old;
	enum admin_result result = users_find(users, entry->name, &old, err);

	if (result == ADMIN_OK && vpasswd_format(entry, &line, err) == -1)
		result = ADMIN_REFUSED;
	if (result == ADMIN_OK)
		result = users->backend->change(users, entry, err);
	return result;
}

int
users_is_dir_own(
    struct users *users, const char *name, const char *dir, struct error *err)
{
	int is_shared;

	if (strcmp(dir, "/") == 0 || users_is_within(users->dir, dir))
		return 0;
	is_shared = users->backend->is_shared(users, name, dir, err);
	if (is_shared == 0)
		is_shared = user_dir_holds_others(dir, err);
	return is_shared == -1 ? -1 : !is_shared;
}

/*
 * The folder is renamed first: killed here, the user is there without a
 * folder, mail waits, and the next run ends it.  When it cannot be told whether
 * the user is removed the mail goes back to its place.
 */
static enum admin_result
remove_with_dir(
    struct users *users, const char *name, const char *dir, struct error *err)
{
	OWN_TEXT aside = NULL;
	enum admin_result result = users->backend->remove_begin(
	    users, name, err);

	if (result == ADMIN_OK &&
	    user_dir_put_aside(users->dir, dir, &aside, err) == -1) {
		users->backend->remove_end(users, name, false, NULL);
		result = ADMIN_FAILED;
	} else if (result == ADMIN_OK)
		result = users->backend->remove_end(users, name, true, err);
	if (result != ADMIN_OK) {
		if (aside != NULL && rename(aside, dir) == -1)
			error_context(err, "the mail is in '%s' now", aside);
		return result;
	}
	if (aside == NULL || user_dir_remove(users->dir, aside, err) == 0)
		return ADMIN_OK;
	error_context(err, "the user is removed, but not the mail");
	return ADMIN_FAILED;
}

enum admin_result
users_remove(struct users *users, const char *name, struct error *err)
{
	OWN_TEXT dir = NULL;
	const struct vpasswd_entry *entry;
	AUTO(place_release) struct place place = { .name = NULL };
	enum admin_result result = users_find(users, name, &entry, err);
	int is_own, is_here;

	if (result == ADMIN_OK)
		result = users_refuse_moving(users, name, err);
	if (result != ADMIN_OK)
		return result;
	is_here = users_is_here(users, name, &place, err);
	if (is_here == -1)
		return ADMIN_FAILED;
	dir = xstrdup(entry->dir);
	is_own = users_is_dir_own(users, name, dir, err);
	if (is_own == -1)
		return ADMIN_FAILED;
	if (is_own == 0)
		return admin_refuse(err,
		    "user '%s' shares the folder '%s' with other users: give "
		    "the user another one in '%s/vpasswd' first",
		    name, dir, users->dir);
	while (strlen(dir) > 1 && dir[strlen(dir) - 1] == '/')
		dir[strlen(dir) - 1] = '\0';
	return is_here ? remove_with_dir(users, name, dir, err)
		       : users_remove_elsewhere(users, name, dir, &place, err);
}
