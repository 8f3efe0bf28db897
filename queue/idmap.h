/* SPDX-License-Identifier: ISC */
/*
 * A map from numbers (message ids, delivery numbers) to pointers, and so also
 * a set of numbers.  The number 0 cannot be a key (no inode has it).  About 24
 * bytes an entry.
 */
#ifndef QUEUE_IDMAP_H
#define QUEUE_IDMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct idmap_slot {
	uint64_t id;
	void *value;
};

/* Zeroed storage is an empty map. */
struct idmap {
	struct idmap_slot *slots;
	size_t size; /* a power of two, or 0 */
	size_t count;
};

void idmap_release(struct idmap *map);
/* True when the id was not there before; an old value is replaced. */
bool idmap_put(struct idmap *map, uint64_t id, void *value);
bool idmap_has(const struct idmap *map, uint64_t id);
/* The value, or NULL. */
void *idmap_get(const struct idmap *map, uint64_t id);
/* True when it was there. */
bool idmap_remove(struct idmap *map, uint64_t id);

#endif
