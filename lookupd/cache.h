/* SPDX-License-Identifier: ISC */
/*
 * What lookupd remembers of its answers: records by key, bounded in bytes.  What
 * was not asked for a while goes first.  One thread.
 *
 * Each entry has the generation of the time at which its answer was asked for.
 * A domain that changed makes all entries below it of an older generation void,
 * and cache_distrust() all that there are stale.
 */
#ifndef LOOKUPD_CACHE_H
#define LOOKUPD_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lookupd/query.h"

struct cache;

/* The kind, the local part, '\0', the domain. */
enum { CACHE_KEY_MAX = 1 + STORE_LOCAL_MAX + 1 + STORE_DOMAIN_MAX };
struct cache_key {
	uint32_t hash;
	size_t length;
	char bytes[CACHE_KEY_MAX];
};
void cache_key_set(struct cache_key *key, enum query_kind kind,
    const char *local, const char *domain);

struct cache *cache_new(size_t max_bytes, int64_t now_ms);
void cache_free(struct cache **cache);

struct cache_found {
	enum query_state state; /* found or absent */
	const char *record;     /* until the cache is changed */
	size_t length;
	uint64_t age_ms;
	bool is_stale; /* distrusted: something may have changed unseen */
};

bool cache_find(struct cache *cache, const struct cache_key *key,
    int64_t now_ms, struct cache_found *found_out);

/* The generation now: for cache_put() of what is asked for from now on. */
uint32_t cache_generation(const struct cache *cache);
void cache_put(struct cache *cache, const struct cache_key *key,
    uint32_t generation, enum query_state state, const char *record,
    size_t length, int64_t read_at_ms);

void cache_remove(struct cache *cache, const struct cache_key *key);
void cache_remove_domain(struct cache *cache, const char *domain);
void cache_distrust(struct cache *cache);
void cache_clear(struct cache *cache);

size_t cache_bytes(const struct cache *cache);
size_t cache_count(const struct cache *cache);

#endif
