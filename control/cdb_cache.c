/* SPDX-License-Identifier: ISC */
/* Open cdb maps by path: a list, the one used last in front. */
#include "control/cdb_cache.h"

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/clock.h"
#include "base/mem.h"

struct cdb_cache_entry {
	char *path;
	uint32_t path_hash; /* most others are told by it */
	struct cdbmap *map;
	/* Under the cache's lock: */
	unsigned users;
	int64_t looked_at_ms; /* when the file was last known to be this one */
	bool is_listed; /* false: replaced, to be freed by its last user */
	TAILQ_ENTRY(cdb_cache_entry) link;
};

struct cdb_cache {
	pthread_mutex_t lock; /* for everything below */
	TAILQ_HEAD(cdb_cache_list, cdb_cache_entry) entries;
	unsigned count;
	unsigned max_open;
	bool keeps_last; /* does not change */
};

static uint32_t
hash_path(const char *path)
{
	uint32_t hash = 2166136261u; /* FNV-1a */

	for (; *path != '\0'; path++)
		hash = (hash ^ (unsigned char)*path) * 16777619u;
	return hash;
}

/* The functions from here to cdb_cache_new() are called with the lock held. */
static struct cdb_cache_entry *
find_listed_map(const struct cdb_cache *cache, const char *path, uint32_t hash)
{
	struct cdb_cache_entry *entry;

	TAILQ_FOREACH(entry, &cache->entries, link)
		if (entry->path_hash == hash && strcmp(entry->path, path) == 0)
			break;
	return entry;
}

/* Takes the entry out of the list; frees it unless somebody holds it. */
static void
drop_map(struct cdb_cache *cache, struct cdb_cache_entry *entry)
{
	if (entry->is_listed) {
		TAILQ_REMOVE(&cache->entries, entry, link);
		entry->is_listed = false;
		cache->count--;
	}
	if (entry->users > 0)
		return;
	cdbmap_free(&entry->map);
	free(entry->path);
	free(entry);
}

/* Closes what was used longest ago, down to the limit. */
static void
trim_maps(struct cdb_cache *cache)
{
	struct cdb_cache_entry *entry = TAILQ_LAST(
	    &cache->entries, cdb_cache_list);

	while (entry != NULL && cache->count > cache->max_open) {
		struct cdb_cache_entry *newer = TAILQ_PREV(
		    entry, cdb_cache_list, link);

		if (entry->users == 0)
			drop_map(cache, entry);
		entry = newer;
	}
}

struct cdb_cache *
cdb_cache_new(unsigned max_open)
{
	struct cdb_cache *cache = xcalloc(1, sizeof(*cache));

	pthread_mutex_init(&cache->lock, NULL);
	TAILQ_INIT(&cache->entries);
	cache->max_open = max_open;
	return cache;
}

void
cdb_cache_keep_last(struct cdb_cache *cache)
{
	cache->keeps_last = true;
}

void
cdb_cache_free(struct cdb_cache **cache)
{
	struct cdb_cache_entry *entry;

	if (*cache == NULL)
		return;
	while ((entry = TAILQ_FIRST(&(*cache)->entries)) != NULL) {
		assert(entry->users == 0);
		drop_map(*cache, entry);
	}
	pthread_mutex_destroy(&(*cache)->lock);
	free(*cache);
	*cache = NULL;
}

/* The open map at path, or NULL; is its file no more the one there? */
static struct cdb_cache_entry *
acquire_open(struct cdb_cache *cache, const char *path, uint32_t hash,
    unsigned max_age_ms, bool *is_stale_out)
{
	struct cdb_cache_entry *entry;
	int64_t now_ms = clock_ms();
	bool is_young = false;

	*is_stale_out = false;
	pthread_mutex_lock(&cache->lock);
	entry = find_listed_map(cache, path, hash);
	if (entry != NULL) {
		entry->users++;
		TAILQ_REMOVE(&cache->entries, entry, link);
		TAILQ_INSERT_HEAD(&cache->entries, entry, link);
		is_young = now_ms < entry->looked_at_ms + max_age_ms;
	}
	pthread_mutex_unlock(&cache->lock);
	if (entry == NULL || is_young)
		return entry;
	*is_stale_out = cdbmap_is_stale(entry->map);
	if (!*is_stale_out) {
		pthread_mutex_lock(&cache->lock);
		entry->looked_at_ms = now_ms;
		pthread_mutex_unlock(&cache->lock);
	}
	return entry;
}

static void
release_stale(struct cdb_cache *cache, struct cdb_cache_entry *entry)
{
	if (entry == NULL)
		return;
	pthread_mutex_lock(&cache->lock);
	entry->users--;
	drop_map(cache, entry);
	pthread_mutex_unlock(&cache->lock);
}

int
cdb_cache_acquire(struct cdb_cache *cache, const char *path,
    unsigned max_age_ms, struct cdb_cache_entry **entry_out, struct error *err)
{
	uint32_t hash = hash_path(path);
	bool is_stale;
	struct cdb_cache_entry *entry = acquire_open(
	    cache, path, hash, max_age_ms, &is_stale);
	int64_t now_ms = clock_ms(); /* before the file is opened */
	struct cdb_cache_entry *other;
	struct cdbmap *map;
	int result;

	*entry_out = entry;
	if (entry != NULL && !is_stale)
		return 1;
	result = cdbmap_open(path, &map, err);
	if (result == -1 && entry != NULL && cache->keeps_last)
		return 1;
	release_stale(cache, entry);
	*entry_out = NULL;
	if (result != 1)
		return result;
	entry = xcalloc(1, sizeof(*entry));
	*entry = (struct cdb_cache_entry){ .path = xstrdup(path),
		.path_hash = hash,
		.map = map,
		.users = 1,
		.looked_at_ms = now_ms,
		.is_listed = true };
	pthread_mutex_lock(&cache->lock);
	/*
	 * Another thread may have opened it at the same time.  Whichever of
	 * the two is the older file, the next look at it tells.
	 */
	other = find_listed_map(cache, path, hash);
	if (other != NULL)
		drop_map(cache, other);
	TAILQ_INSERT_HEAD(&cache->entries, entry, link);
	cache->count++;
	trim_maps(cache);
	pthread_mutex_unlock(&cache->lock);
	*entry_out = entry;
	return 1;
}

const struct cdbmap *
cdb_cache_map(const struct cdb_cache_entry *entry)
{
	return entry->map;
}

void
cdb_cache_release(struct cdb_cache *cache, struct cdb_cache_entry *entry)
{
	pthread_mutex_lock(&cache->lock);
	entry->users--;
	if (!entry->is_listed)
		drop_map(cache, entry);
	else
		trim_maps(cache); /* others may have kept it full */
	pthread_mutex_unlock(&cache->lock);
}
