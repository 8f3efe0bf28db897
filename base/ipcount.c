/* SPDX-License-Identifier: ISC */
/* How many connections each address has: a hash table with chains. */
#include "base/ipcount.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/mem.h"

enum { FIRST_SLOTS = 64 };

struct entry {
	struct entry *next;
	struct in6_addr ip;
	unsigned count; /* never 0 */
};

struct ipcount {
	struct entry **slots;
	size_t slot_count; /* a power of two */
	size_t entry_count;
	uint64_t seed[2]; /* so that peers cannot choose the same slot */
};

struct ipcount *
ipcount_new(void)
{
	struct ipcount *table = xcalloc(1, sizeof(*table));

	table->slot_count = FIRST_SLOTS;
	table->slots = xcalloc(table->slot_count, sizeof(struct entry *));
	/* Without random numbers the table works; only a seed is lost. */
	if (getrandom(table->seed, sizeof(table->seed), GRND_NONBLOCK) == -1)
		table->seed[0] = (uint64_t)(uintptr_t)table;
	return table;
}

void
ipcount_free(struct ipcount **table)
{
	size_t i;

	if (*table == NULL)
		return;
	for (i = 0; i < (*table)->slot_count; i++) {
		struct entry *entry = (*table)->slots[i];

		while (entry != NULL) {
			struct entry *next = entry->next;

			free(entry);
			entry = next;
		}
	}
	free((*table)->slots);
	free(*table);
	*table = NULL;
}

static uint64_t
mix(uint64_t x)
{
	x ^= x >> 30;
	x *= UINT64_C(0xbf58476d1ce4e5b9);
	x ^= x >> 27;
	x *= UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

static struct entry **
slot_of(const struct ipcount *table, const struct in6_addr *ip)
{
	uint64_t half[2], hash;

	memcpy(half, ip, sizeof(half));
	hash = mix(half[0] ^ table->seed[0]);
	hash = mix(hash ^ half[1] ^ table->seed[1]);
	return &table->slots[hash & (table->slot_count - 1)];
}

/* Where the address is linked, or would be: then *result is NULL. */
static struct entry **
find(const struct ipcount *table, const struct in6_addr *ip)
{
	struct entry **link = slot_of(table, ip);

	while (*link != NULL && memcmp(&(*link)->ip, ip, sizeof(*ip)) != 0)
		link = &(*link)->next;
	return link;
}

static void
grow(struct ipcount *table)
{
	struct entry **old = table->slots;
	size_t old_count = table->slot_count, i;

	table->slot_count *= 2;
	table->slots = xcalloc(table->slot_count, sizeof(struct entry *));
	for (i = 0; i < old_count; i++) {
		struct entry *entry = old[i];

		while (entry != NULL) {
			struct entry *next = entry->next;
			struct entry **slot = slot_of(table, &entry->ip);

			entry->next = *slot;
			*slot = entry;
			entry = next;
		}
	}
	free(old);
}

unsigned
ipcount_get(const struct ipcount *table, const struct in6_addr *ip)
{
	const struct entry *entry = *find(table, ip);

	return entry == NULL ? 0 : entry->count;
}

void
ipcount_add(struct ipcount *table, const struct in6_addr *ip)
{
	struct entry **link = find(table, ip);

	if (*link != NULL) {
		(*link)->count++;
		return;
	}
	*link = xcalloc(1, sizeof(**link));
	(*link)->ip = *ip;
	(*link)->count = 1;
	if (++table->entry_count > table->slot_count)
		grow(table);
}

void
ipcount_drop(struct ipcount *table, const struct in6_addr *ip)
{
	struct entry **link = find(table, ip);
	struct entry *entry = *link;

	assert(entry != NULL);
	if (--entry->count > 0)
		return;
	*link = entry->next;
	table->entry_count--;
	free(entry);
}
