/* SPDX-License-Identifier: ISC */
/* What lookupd remembers of its answers. */
#include "lookupd/cache.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum {
	BUCKETS_MIN = 1024,
	/* Domains that changed; then everything is distrusted instead. */
	DOMAIN_SLOTS = 1 << 16,
	DOMAINS_MAX = DOMAIN_SLOTS / 2,
	TICK_MS = 100
};

struct entry {
	struct entry *next; /* of its bucket */
	uint32_t hash;
	uint32_t read_at; /* ticks since the cache was made */
	uint32_t generation;
	uint16_t key_length;
	uint16_t length;
	uint8_t state;
	bool is_used; /* since the hand came by */
	char bytes[]; /* key, record */
};

struct changed_domain {
	char *name;
	uint32_t generation;
};

/*
 * The table grows by one bucket at a time (linear hashing), so that nobody waits
 * for it: a hash belongs into the bucket of its bits of high_mask, if there is
 * such a bucket already, else of low_mask.
 */
struct cache {
	struct entry **buckets;
	size_t bucket_count, bucket_room;
	uint32_t low_mask, high_mask;
	size_t count;
	size_t bytes, max_bytes;
	size_t hand; /* the bucket to look into next for what is not used */
	int64_t began_ms;
	uint32_t generation;
	uint32_t trusted_from; /* generation */
	struct changed_domain *domains;
	size_t domain_count;
};

static uint32_t
hash_cache_bytes(const char *bytes, size_t length)
{
	uint64_t hash = 14695981039346656037u; /* FNV-1a */

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ (unsigned char)bytes[i]) * 1099511628211u;
	return (uint32_t)(hash ^ (hash >> 32));
}

void
cache_key_set(struct cache_key *key, enum query_kind kind, const char *local,
    const char *domain)
{
	size_t local_length = strlen(local), domain_length = strlen(domain);

	key->bytes[0] = (char)kind;
	memcpy(key->bytes + 1, local, local_length + 1);
	memcpy(key->bytes + 2 + local_length, domain, domain_length);
	key->length = 2 + local_length + domain_length;
	key->hash = hash_cache_bytes(key->bytes, key->length);
}

struct cache *
cache_new(size_t max_bytes, int64_t now_ms)
{
	struct cache *cache = xcalloc(1, sizeof(*cache));

	cache->began_ms = now_ms;
	cache->buckets = xcalloc(BUCKETS_MIN, sizeof(struct entry *));
	cache->bucket_count = cache->bucket_room = BUCKETS_MIN;
	cache->low_mask = BUCKETS_MIN - 1;
	cache->high_mask = BUCKETS_MIN * 2 - 1;
	cache->max_bytes = max_bytes;
	cache->generation = 1;
	cache->domains = xcalloc(DOMAIN_SLOTS, sizeof(*cache->domains));
	return cache;
}

static size_t
entry_bytes(struct entry *entry)
{
	return malloc_usable_size(entry) + sizeof(size_t) + sizeof(entry);
}

static void
free_entry(struct cache *cache, struct entry *entry)
{
	cache->bytes -= entry_bytes(entry);
	cache->count--;
	if (entry->bytes[0] == QUERY_PASSWORD)
		explicit_bzero(entry->bytes, entry->key_length + entry->length);
	free(entry);
}

static void
forget_domains(struct cache *cache)
{
	for (size_t i = 0; i < DOMAIN_SLOTS; i++) {
		free(cache->domains[i].name);
		cache->domains[i].name = NULL;
	}
	cache->domain_count = 0;
}

/* Takes away what *at points to. */
static void
unlink_entry(struct cache *cache, struct entry **at)
{
	struct entry *entry = *at;

	*at = entry->next;
	free_entry(cache, entry);
}

void
cache_clear(struct cache *cache)
{
	for (size_t i = 0; i < cache->bucket_count; i++)
		while (cache->buckets[i] != NULL)
			unlink_entry(cache, &cache->buckets[i]);
	/* What is being asked for now may not come in as of before. */
	forget_domains(cache);
	cache_distrust(cache);
}

void
cache_free(struct cache **cache)
{
	if (*cache == NULL)
		return;
	cache_clear(*cache);
	free((*cache)->buckets);
	free((*cache)->domains);
	free(*cache);
	*cache = NULL;
}

static struct entry **
bucket_of(const struct cache *cache, uint32_t hash)
{
	size_t bucket = hash & cache->high_mask;

	if (bucket >= cache->bucket_count)
		bucket = hash & cache->low_mask;
	return &cache->buckets[bucket];
}

/* What points to the key's entry, or the end of its bucket. */
static struct entry **
find_entry(const struct cache *cache, const struct cache_key *key)
{
	struct entry **at = bucket_of(cache, key->hash);

	while (*at != NULL &&
	    ((*at)->hash != key->hash || (*at)->key_length != key->length ||
		memcmp((*at)->bytes, key->bytes, key->length) != 0))
		at = &(*at)->next;
	return at;
}

static struct changed_domain *
find_domain_slot(const struct cache *cache, const char *name, size_t length)
{
	size_t slot = hash_cache_bytes(name, length) % DOMAIN_SLOTS;

	while (cache->domains[slot].name != NULL &&
	    (strlen(cache->domains[slot].name) != length ||
		memcmp(cache->domains[slot].name, name, length) != 0))
		slot = (slot + 1) % DOMAIN_SLOTS;
	return &cache->domains[slot];
}

/* Has its domain changed since? */
static bool
is_void(const struct cache *cache, const struct entry *entry)
{
	const char *domain = entry->bytes + 2 + strlen(entry->bytes + 1);
	const struct changed_domain *changed;

	if (cache->domain_count == 0)
		return false;
	changed = find_domain_slot(cache, domain,
	    (size_t)(entry->bytes + entry->key_length - domain));
	return changed->name != NULL && entry->generation < changed->generation;
}

bool
cache_find(struct cache *cache, const struct cache_key *key, int64_t now_ms,
    struct cache_found *found_out)
{
	struct entry *entry = *find_entry(cache, key);
	int64_t age_ms;

	if (entry == NULL || is_void(cache, entry))
		return false;
	entry->is_used = true;
	age_ms = now_ms - cache->began_ms - (int64_t)entry->read_at * TICK_MS;
	*found_out = (struct cache_found){
		.state = (enum query_state)entry->state,
		.record = entry->bytes + entry->key_length,
		.length = entry->length,
		.age_ms = age_ms > 0 ? (uint64_t)age_ms : 0,
		.is_stale = entry->generation < cache->trusted_from,
	};
	return true;
}

uint32_t
cache_generation(const struct cache *cache)
{
	return cache->generation;
}

/* One bucket more: its entries are in that of low_mask up to now. */
static void
add_bucket(struct cache *cache)
{
	size_t added = cache->bucket_count++;
	struct entry **at = &cache->buckets[added & cache->low_mask];

	if (added == cache->bucket_room) {
		cache->bucket_room *= 2;
		cache->buckets = xrealloc(cache->buckets,
		    cache->bucket_room * sizeof(struct entry *));
		at = &cache->buckets[added & cache->low_mask];
	}
	cache->buckets[added] = NULL;
	while (*at != NULL) {
		struct entry *entry = *at;

		if ((entry->hash & cache->high_mask) != added) {
			at = &entry->next;
			continue;
		}
		*at = entry->next;
		entry->next = cache->buckets[added];
		cache->buckets[added] = entry;
	}
	if (added == cache->high_mask) {
		cache->low_mask = cache->high_mask;
		cache->high_mask = cache->high_mask * 2 + 1;
	}
}

/* Until extra bytes fit, what was not used since the hand came by goes. */
static void
make_room(struct cache *cache, size_t extra)
{
	while (cache->count > 0 && cache->bytes + extra > cache->max_bytes) {
		struct entry **at = &cache->buckets[cache->hand];

		while (*at != NULL)
			if ((*at)->is_used) {
				(*at)->is_used = false;
				at = &(*at)->next;
			} else
				unlink_entry(cache, at);
		cache->hand = (cache->hand + 1) % cache->bucket_count;
	}
}

void
cache_put(struct cache *cache, const struct cache_key *key,
    uint32_t generation, enum query_state state, const char *record,
    size_t length, int64_t read_at_ms)
{
	size_t bytes = sizeof(struct entry) + key->length + length;
	struct entry *entry, **bucket;

	cache_remove(cache, key);
	/* Its size with what malloc adds; too large a one is not kept. */
	if (bytes + 64 > cache->max_bytes)
		return;
	make_room(cache, bytes + 64);
	entry = xmalloc(bytes);
	*entry = (struct entry){ .hash = key->hash,
		.read_at = (uint32_t)((read_at_ms - cache->began_ms) / TICK_MS),
		.generation = generation,
		.key_length = (uint16_t)key->length,
		.length = (uint16_t)length,
		.state = (uint8_t)state };
	memcpy(entry->bytes, key->bytes, key->length);
	memcpy(entry->bytes + key->length, record, length);
	bucket = bucket_of(cache, key->hash);
	entry->next = *bucket;
	*bucket = entry;
	cache->bytes += entry_bytes(entry);
	if (++cache->count > cache->bucket_count)
		add_bucket(cache);
}

void
cache_remove(struct cache *cache, const struct cache_key *key)
{
	struct entry **at = find_entry(cache, key);

	if (*at != NULL)
		unlink_entry(cache, at);
}

void
cache_remove_domain(struct cache *cache, const char *domain)
{
	struct changed_domain *changed;

	if (cache->domain_count >= DOMAINS_MAX) {
		cache_clear(cache);
		return;
	}
	changed = find_domain_slot(cache, domain, strlen(domain));
	if (changed->name == NULL) {
		changed->name = xstrdup(domain);
		cache->domain_count++;
	}
	changed->generation = ++cache->generation;
}

void
cache_distrust(struct cache *cache)
{
	cache->trusted_from = ++cache->generation;
}

size_t
cache_bytes(const struct cache *cache)
{
	return cache->bytes;
}

size_t
cache_count(const struct cache *cache)
{
	return cache->count;
}
