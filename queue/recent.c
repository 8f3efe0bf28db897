/* SPDX-License-Identifier: ISC */
/* UUIDs of late: a ring of entries, and chains by hash through it. */
#include "queue/recent.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct recent_entry {
	struct uuid uuid;
	uint64_t id;   /* 0: removed */
	uint32_t next; /* in its chain: an entry's number + 1, or 0 */
};

struct recent {
	struct recent_entry entries[RECENT_MAX]; /* a ring */
	uint32_t chains[RECENT_MAX];             /* entry's number + 1, or 0 */
	uint32_t at;                             /* the next to be written */
};

struct recent *
recent_new(void)
{
	return xcalloc(1, sizeof(struct recent));
}

void
recent_free(struct recent **recent)
{
	free(*recent);
	*recent = NULL;
}

/* Its last bytes are random, or a hash. */
static uint32_t
chain_of(const struct uuid *uuid)
{
	uint32_t number;

	memcpy(
	    &number, uuid->bytes + UUID_BYTES - sizeof(number), sizeof(number));
	return number % RECENT_MAX;
}

static void
unchain(struct recent *recent, uint32_t entry)
{
	uint32_t *link =
	    &recent->chains[chain_of(&recent->entries[entry].uuid)];

	while (*link != 0 && *link != entry + 1)
		link = &recent->entries[*link - 1].next;
	if (*link != 0)
		*link = recent->entries[entry].next;
	recent->entries[entry].id = 0;
}

void
recent_add(struct recent *recent, const struct uuid *uuid, uint64_t id)
{
	uint32_t at = recent->at, *chain = &recent->chains[chain_of(uuid)];
	struct recent_entry *entry = &recent->entries[at];

	if (uuid_is_none(uuid))
		return;
	if (entry->id != 0)
		unchain(recent, at);
	*entry = (struct recent_entry){
		.uuid = *uuid, .id = id, .next = *chain
	};
	*chain = at + 1;
	recent->at = (at + 1) % RECENT_MAX;
}

/* The entry's number + 1, or 0. */
static uint32_t
find_entry(const struct recent *recent, const struct uuid *uuid)
{
	uint32_t at = recent->chains[chain_of(uuid)];

	while (at != 0 && !uuid_is_equal(&recent->entries[at - 1].uuid, uuid))
		at = recent->entries[at - 1].next;
	return at;
}

void
recent_remove(struct recent *recent, const struct uuid *uuid)
{
	uint32_t at = find_entry(recent, uuid);

	if (at != 0)
		unchain(recent, at - 1);
}

uint64_t
recent_find(const struct recent *recent, const struct uuid *uuid)
{
	uint32_t at = find_entry(recent, uuid);

	return at == 0 ? 0 : recent->entries[at - 1].id;
}
