/* SPDX-License-Identifier: ISC */
/* A map from numbers to pointers: open addressing, linear probing. */
#include "queue/idmap.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"

static size_t
home_slot(const struct idmap *map, uint64_t id)
{
	/* Fibonacci hashing: inode numbers come in runs. */
	return (size_t)((id * 0x9E3779B97F4A7C15u) >> 20) & (map->size - 1);
}

/* The slot that has the id, or the empty one where it would be. */
static struct idmap_slot *
find(const struct idmap *map, uint64_t id)
{
	size_t at = home_slot(map, id);

	while (map->slots[at].id != 0 && map->slots[at].id != id)
		at = (at + 1) & (map->size - 1);
	return &map->slots[at];
}

static void
grow(struct idmap *map)
{
	struct idmap old = *map;

	map->size = old.size == 0 ? 64 : old.size * 2;
	map->slots = xcalloc(map->size, sizeof(*map->slots));
	for (size_t i = 0; i < old.size; i++)
		if (old.slots[i].id != 0)
			*find(map, old.slots[i].id) = old.slots[i];
	free(old.slots);
}

void
idmap_release(struct idmap *map)
{
	free(map->slots);
	*map = (struct idmap){ .slots = NULL };
}

bool
idmap_put(struct idmap *map, uint64_t id, void *value)
{
	struct idmap_slot *slot;
	bool is_new;

	assert(id != 0);
	if ((map->count + 1) * 4 > map->size * 3)
		grow(map);
	slot = find(map, id);
	is_new = slot->id == 0;
	map->count += is_new;
	*slot = (struct idmap_slot){ .id = id, .value = value };
	return is_new;
}

bool
idmap_has(const struct idmap *map, uint64_t id)
{
	return map->count > 0 && id != 0 && find(map, id)->id == id;
}

void *
idmap_get(const struct idmap *map, uint64_t id)
{
	return idmap_has(map, id) ? find(map, id)->value : NULL;
}

bool
idmap_remove(struct idmap *map, uint64_t id)
{
	size_t hole, at;

	if (!idmap_has(map, id))
		return false;
	hole = (size_t)(find(map, id) - map->slots);
	map->count--;
	/* Close the hole: move back what may not stand behind it. */
	for (at = (hole + 1) & (map->size - 1); map->slots[at].id != 0;
	     at = (at + 1) & (map->size - 1)) {
		size_t home = home_slot(map, map->slots[at].id);

		if (((at - home) & (map->size - 1)) >=
		    ((at - hole) & (map->size - 1))) {
			map->slots[hole] = map->slots[at];
			hole = at;
		}
	}
	map->slots[hole] = (struct idmap_slot){ .id = 0 };
	return true;
}
