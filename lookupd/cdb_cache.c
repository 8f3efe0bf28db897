/* SPDX-License-Identifier: ISC */
/*
 * Open cdb maps by path: a hash table whose entries also hang in a list, the
 * one used last in front.
 */
#include "lookupd/cdb_cache.h"

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

enum { BUCKETS = 256 };

struct cdb_cache_entry {
	char *path;
	struct cdbmap *map;
	unsigned bucket;
	/* Under the cache's lock: */
	unsigned users;
	int64_t looked_at_ms; /* when the file was last known to be this one */
	bool is_listed; /* false: replaced, to be freed by its last user */
	struct cdb_cache_entry *bucket_next;
	struct cdb_cache_entry *newer, *older;
};

struct cdb_cache {
	pthread_mutex_t lock; /* for everything below */
	struct cdb_cache_entry *buckets[BUCKETS];
	struct cdb_cache_entry *newest, *oldest;
	unsigned count;
	unsigned max_open;
};

static unsigned
bucket_of(const char *path)
{
	uint32_t hash = 2166136261u; /* FNV-1a */

	for (; *path != '\0'; path++)
		hash = (hash ^ (unsigned char)*path) * 16777619u;
	return (hash ^ hash >> 16) % BUCKETS;
}

static void
list_remove(struct cdb_cache *cache, struct cdb_cache_entry *entry)
{
	if (entry->newer != NULL)
		entry->newer->older = entry->older;
	else
		cache->newest = entry->older;
	if (entry->older != NULL)
		entry->older->newer = entry->newer;
	else
		cache->oldest = entry->newer;
}

static void
list_put_first(struct cdb_cache *cache, struct cdb_cache_entry *entry)
{
	entry->newer = NULL;
	entry->older = cache->newest;
	if (cache->newest != NULL)
		cache->newest->newer = entry;
	else
		cache->oldest = entry;
	cache->newest = entry;
}

static void
entry_free(struct cdb_cache_entry *entry)
{
	cdbmap_free(&entry->map);
	free(entry->path);
	free(entry);
}

/* The functions from here to cdb_cache_new() are called with the lock held. */

static struct cdb_cache_entry *
table_find(struct cdb_cache *cache, const char *path, unsigned bucket)
{
	struct cdb_cache_entry *entry = cache->buckets[bucket];

	while (entry != NULL && strcmp(entry->path, path) != 0)
		entry = entry->bucket_next;
	return entry;
}

static void
table_add(struct cdb_cache *cache, struct cdb_cache_entry *entry)
{
	entry->bucket_next = cache->buckets[entry->bucket];
	cache->buckets[entry->bucket] = entry;
	list_put_first(cache, entry);
	entry->is_listed = true;
	cache->count++;
}

/* Takes the entry out of the table; frees it unless somebody holds it. */
static void
table_drop(struct cdb_cache *cache, struct cdb_cache_entry *entry)
{
	struct cdb_cache_entry **link = &cache->buckets[entry->bucket];

	if (entry->is_listed) {
		while (*link != entry)
			link = &(*link)->bucket_next;
		*link = entry->bucket_next;
		list_remove(cache, entry);
		entry->is_listed = false;
		cache->count--;
	}
	if (entry->users == 0)
		entry_free(entry);
}

/* Closes what was used longest ago, down to the limit. */
static void
table_trim(struct cdb_cache *cache)
{
	struct cdb_cache_entry *entry = cache->oldest;

	while (entry != NULL && cache->count > cache->max_open) {
		struct cdb_cache_entry *newer = entry->newer;

		if (entry->users == 0)
			table_drop(cache, entry);
		entry = newer;
	}
}

struct cdb_cache *
cdb_cache_new(unsigned max_open)
{
	struct cdb_cache *cache = xcalloc(1, sizeof(*cache));

	pthread_mutex_init(&cache->lock, NULL);
	cache->max_open = max_open;
	return cache;
}

void
cdb_cache_free(struct cdb_cache **cache)
{
	if (*cache == NULL)
		return;
	while ((*cache)->newest != NULL) {
		assert((*cache)->newest->users == 0);
		table_drop(*cache, (*cache)->newest);
	}
	pthread_mutex_destroy(&(*cache)->lock);
	free(*cache);
	*cache = NULL;
}

/* The open map at path if its file is still the one there, or NULL. */
static struct cdb_cache_entry *
acquire_open(struct cdb_cache *cache, const char *path, unsigned bucket,
    unsigned max_age_ms)
{
	struct cdb_cache_entry *entry;
	int64_t now_ms = clock_ms();
	bool is_young = false, is_stale;

	pthread_mutex_lock(&cache->lock);
	entry = table_find(cache, path, bucket);
	if (entry != NULL) {
		entry->users++;
		if (entry->newer != NULL) {
			list_remove(cache, entry);
			list_put_first(cache, entry);
		}
		is_young = now_ms < entry->looked_at_ms + max_age_ms;
	}
	pthread_mutex_unlock(&cache->lock);
	if (entry == NULL || is_young)
		return entry;
	is_stale = cdbmap_is_stale(entry->map);
	pthread_mutex_lock(&cache->lock);
	if (is_stale) {
		entry->users--;
		table_drop(cache, entry);
		entry = NULL;
	} else
		entry->looked_at_ms = now_ms;
	pthread_mutex_unlock(&cache->lock);
	return entry;
}

int
cdb_cache_acquire(struct cdb_cache *cache, const char *path,
    unsigned max_age_ms, struct cdb_cache_entry **entry_out, struct error *err)
{
	unsigned bucket = bucket_of(path);
	struct cdb_cache_entry *entry = acquire_open(
	    cache, path, bucket, max_age_ms);
	int64_t now_ms = clock_ms(); /* before the file is opened */
	struct cdb_cache_entry *other;
	struct cdbmap *map;
	int result;

	*entry_out = entry;
	if (entry != NULL)
		return 1;
	result = cdbmap_open(path, &map, err);
	if (result != 1)
		return result;
	entry = xcalloc(1, sizeof(*entry));
	entry->path = xstrdup(path);
	entry->map = map;
	entry->bucket = bucket;
	entry->users = 1;
	entry->looked_at_ms = now_ms;
	pthread_mutex_lock(&cache->lock);
	/*
	 * Another thread may have opened it at the same time.  Whichever of
	 * the two is the older file, the next look at it tells.
	 */
	other = table_find(cache, path, bucket);
	if (other != NULL)
		table_drop(cache, other);
	table_add(cache, entry);
	table_trim(cache);
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
	if (entry->users == 0 && !entry->is_listed)
		entry_free(entry);
	else if (entry->users == 0)
		table_trim(cache); /* others may have kept it full */
	pthread_mutex_unlock(&cache->lock);
}
