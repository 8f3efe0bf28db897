/* SPDX-License-Identifier: ISC */
/* Memory of one session. */
#include "base/arena.h"

#include <assert.h>
#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/*
 * A session needs little, so the first block is small; each further one is
 * twice as large as the last, to a bound.  What is larger than a quarter of
 * the bound gets a block of its own, so that little is wasted at ends.
 */
enum {
	BLOCK_FIRST = 1024,
	BLOCK_LAST = 16384,
	BLOCK_SHARED_MAX = BLOCK_LAST / 4
};

struct arena_block {
	struct arena_block *next;
	size_t size, used; /* of data */
	alignas(max_align_t) char data[];
};

static struct arena_block *
block_new(size_t size)
{
	struct arena_block *block = xmalloc(sizeof(*block) + size);

	block->next = NULL;
	block->size = size;
	block->used = 0;
	return block;
}

/* A block for one allocation goes behind the head, which keeps its room. */
static void *
alloc_alone(struct arena *arena, size_t size)
{
	struct arena_block *block = block_new(size);

	block->used = size;
	if (arena->blocks == NULL)
		arena->blocks = block;
	else {
		block->next = arena->blocks->next;
		arena->blocks->next = block;
	}
	return block->data;
}

void *
arena_alloc(struct arena *arena, size_t size)
{
	const size_t align = alignof(max_align_t);
	struct arena_block *block = arena->blocks;
	void *memory;

	assert(size <= SIZE_MAX / 2);
	size = (size + align - 1) / align * align;
	if (size > BLOCK_SHARED_MAX)
		return alloc_alone(arena, size);
	if (block == NULL || block->size - block->used < size) {
		size_t wanted = block == NULL ? BLOCK_FIRST : block->size * 2;

		if (wanted > BLOCK_LAST)
			wanted = BLOCK_LAST;
		if (wanted < size)
			wanted = size;
		block = block_new(wanted);
		block->next = arena->blocks;
		arena->blocks = block;
	}
	memory = block->data + block->used;
	block->used += size;
	return memory;
}

char *
arena_strdup(struct arena *arena, const char *text)
{
	size_t size = strlen(text) + 1;

	return memcpy(arena_alloc(arena, size), text, size);
}

void
arena_reset(struct arena *arena)
{
	struct arena_block *block = arena->blocks;

	while (block != NULL) {
		struct arena_block *next = block->next;

		free(block);
		block = next;
	}
	arena->blocks = NULL;
}
