/* SPDX-License-Identifier: ISC */
/* Failed logins, counted for each address and for each name. */
#include "auth/throttle.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

enum {
	WAYS = 8, /* entries that a key may be in */
	KNOWN_MS = 24 * 3600 * 1000
};

enum kind { OF_IP = 1, OF_NAME, OF_BOTH, OF_LOGIN };

struct entry {
	uint64_t key; /* 0: free */
	unsigned failures;
	int64_t last_ms; /* failure; of OF_BOTH and OF_LOGIN: login */
	int64_t locked_until_ms;
};

struct throttle {
	pthread_mutex_t lock; /* for all that follows */
	struct throttle_limits limits;
	uint64_t seed; /* so that nobody can choose who shares a row */
	size_t row_count;
	struct entry (*rows)[WAYS];
};

struct throttle *
throttle_new(size_t entries, const struct throttle_limits *limits)
{
	struct throttle *throttle = xcalloc(1, sizeof(*throttle));

	pthread_mutex_init(&throttle->lock, NULL);
	throttle->limits = *limits;
	if (getrandom(&throttle->seed, sizeof(throttle->seed), 0) !=
	    sizeof(throttle->seed))
		throttle->seed = (uint64_t)time(NULL) << 20 ^
		    (uint64_t)getpid();
	throttle->row_count = entries / WAYS + 1;
	/* Pages that are not touched take no memory. */
	throttle->rows = xcalloc(throttle->row_count, sizeof(*throttle->rows));
	return throttle;
}

void
throttle_free(struct throttle **throttle)
{
	if (*throttle == NULL)
		return;
	pthread_mutex_destroy(&(*throttle)->lock);
	free((*throttle)->rows);
	free(*throttle);
	*throttle = NULL;
}

void
throttle_set_limits(
    struct throttle *throttle, const struct throttle_limits *limits)
{
	pthread_mutex_lock(&throttle->lock);
	throttle->limits = *limits;
	pthread_mutex_unlock(&throttle->lock);
}

/* Steps of FNV-1a with the finish of MurmurHash3, from a secret start. */
static uint64_t
mix(uint64_t hash, const void *data, size_t length)
{
	const unsigned char *bytes = data;

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ bytes[i]) * 0x100000001b3;
	hash ^= hash >> 33;
	hash *= 0xff51afd7ed558ccd;
	hash ^= hash >> 33;
	hash *= 0xc4ceb9fe1a85ec53;
	return hash ^ hash >> 33;
}

/* An IPv4 address, the /64 of an IPv6 address; a text that is neither. */
static uint64_t
mix_ip(uint64_t hash, const char *ip)
{
	unsigned char bytes[16];

	if (inet_pton(AF_INET, ip, bytes) == 1)
		return mix(hash, bytes, 4);
	if (inet_pton(AF_INET6, ip, bytes) == 1)
		return mix(hash, bytes, 8);
	return mix(hash, ip, strlen(ip));
}

static uint64_t
key_of(const struct throttle *throttle, enum kind kind, const char *ip,
    const char *name)
{
	unsigned char byte = (unsigned char)kind;
	uint64_t hash = mix(throttle->seed, &byte, 1);

	if (ip != NULL && kind != OF_LOGIN)
		hash = mix_ip(hash, ip);
	if (kind == OF_LOGIN) /* ip is the service */
		hash = mix(hash, ip, strlen(ip) + 1);
	if (name != NULL)
		hash = mix(hash, name, strlen(name));
	return hash == 0 ? 1 : hash;
}

static struct entry *
find_entry(struct throttle *throttle, uint64_t key)
{
	struct entry *row = throttle->rows[key % throttle->row_count];

	for (unsigned i = 0; i < WAYS; i++)
		if (row[i].key == key)
			return &row[i];
	return NULL;
}

/* The entry of the key, in place of the least of its row if it is new. */
static struct entry *
take_entry(struct throttle *throttle, uint64_t key, int64_t now_ms)
{
	struct entry *found = find_entry(throttle, key);
	struct entry *row = throttle->rows[key % throttle->row_count];

	if (found != NULL)
		return found;
	found = &row[0];
	for (unsigned i = 1; i < WAYS; i++) {
		bool is_locked = row[i].locked_until_ms > now_ms;
		bool is_other_locked = found->locked_until_ms > now_ms;

		if (found->key == 0)
			break;
		if (row[i].key == 0 || is_locked < is_other_locked ||
		    (is_locked == is_other_locked &&
			(row[i].failures < found->failures ||
			    (row[i].failures == found->failures &&
				row[i].last_ms < found->last_ms))))
			found = &row[i];
	}
	*found = (struct entry){ .key = key, .last_ms = now_ms };
	return found;
}

static int64_t
locked_ms(struct throttle *throttle, uint64_t key, int64_t now_ms)
{
	const struct entry *entry = find_entry(throttle, key);

	return entry != NULL && entry->locked_until_ms > now_ms
	    ? entry->locked_until_ms - now_ms
	    : 0;
}

static bool
is_known_pair(
    struct throttle *throttle, const char *ip, const char *name, int64_t now_ms)
{
	const struct entry *entry = find_entry(
	    throttle, key_of(throttle, OF_BOTH, ip, name));

	return entry != NULL && now_ms - entry->last_ms < KNOWN_MS;
}

int64_t
throttle_locked_ms(
    struct throttle *throttle, const char *ip, const char *name, int64_t now_ms)
{
	int64_t of_ip, of_name;

	pthread_mutex_lock(&throttle->lock);
	of_ip = locked_ms(throttle, key_of(throttle, OF_IP, ip, NULL), now_ms);
	of_name = locked_ms(
	    throttle, key_of(throttle, OF_NAME, NULL, name), now_ms);
	if (of_name > 0 && is_known_pair(throttle, ip, name, now_ms))
		of_name = 0;
	pthread_mutex_unlock(&throttle->lock);
	return of_ip > of_name ? of_ip : of_name;
}

/* How often it has failed now. */
static unsigned
count_failure(
    struct throttle *throttle, uint64_t key, unsigned limit, int64_t now_ms)
{
	struct entry *entry = take_entry(throttle, key, now_ms);

	if (now_ms - entry->last_ms > throttle->limits.lock_ms)
		entry->failures = 0;
	entry->failures++;
	entry->last_ms = now_ms;
	if (limit > 0 && entry->failures >= limit) {
		entry->locked_until_ms = now_ms + throttle->limits.lock_ms;
		entry->failures = limit;
	}
	return entry->failures;
}

int64_t
throttle_fail(
    struct throttle *throttle, const char *ip, const char *name, int64_t now_ms)
{
	unsigned failures, of_name;
	int64_t delay_ms;

	pthread_mutex_lock(&throttle->lock);
	failures = count_failure(throttle, key_of(throttle, OF_IP, ip, NULL),
	    throttle->limits.per_ip, now_ms);
	of_name = count_failure(throttle, key_of(throttle, OF_NAME, NULL, name),
	    throttle->limits.per_name, now_ms);
	if (of_name > failures)
		failures = of_name;
	if (failures > THROTTLE_DELAYS_MAX)
		failures = THROTTLE_DELAYS_MAX;
	delay_ms = throttle->limits.delay_ms * failures;
	pthread_mutex_unlock(&throttle->lock);
	return delay_ms;
}

void
throttle_pass(
    struct throttle *throttle, const char *ip, const char *name, int64_t now_ms)
{
	struct entry *entry;

	pthread_mutex_lock(&throttle->lock);
	entry = find_entry(throttle, key_of(throttle, OF_NAME, NULL, name));
	if (entry != NULL)
		entry->failures = 0;
	entry = take_entry(
	    throttle, key_of(throttle, OF_BOTH, ip, name), now_ms);
	entry->last_ms = now_ms;
	pthread_mutex_unlock(&throttle->lock);
}

int64_t
throttle_interval_ms(struct throttle *throttle, const char *service,
    const char *name, int64_t interval_ms, int64_t now_ms)
{
	struct entry *entry;
	int64_t left_ms = 0;
	uint64_t key;

	if (interval_ms <= 0)
		return 0;
	pthread_mutex_lock(&throttle->lock);
	key = key_of(throttle, OF_LOGIN, service, name);
	entry = find_entry(throttle, key);
	if (entry != NULL && now_ms - entry->last_ms < interval_ms)
		left_ms = interval_ms - (now_ms - entry->last_ms);
	else
		take_entry(throttle, key, now_ms)->last_ms = now_ms;
	pthread_mutex_unlock(&throttle->lock);
	return left_ms;
}
