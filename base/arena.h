/* SPDX-License-Identifier: ISC */
/*
 * Memory of one session, all freed at once.  Used by one thread.  Blocks are
 * made as needed; an unused arena costs nothing.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

struct arena_block;

struct arena {
	struct arena_block *blocks;
};

#define ARENA_INIT             \
	{                      \
		.blocks = NULL \
	}

/* Never NULL; aligned for any type; not zeroed. */
void *arena_alloc(struct arena *arena, size_t size);
char *arena_strdup(struct arena *arena, const char *text);

/* Frees all; the arena is empty and may be used again. */
void arena_reset(struct arena *arena);

#endif
