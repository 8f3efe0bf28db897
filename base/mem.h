/* SPDX-License-Identifier: ISC */
/*
 * Memory whose exhaustion ends the process: the supervisor starts it again,
 * and the queue's rules make that safe.  Sizes that a peer chooses are checked
 * against a limit before these are called.
 *
 * A server whose sessions are not to end for the doing of one client keeps a
 * reserve.  The first allocation that fails gives it back, so that what is
 * under way can go on; while mem_is_short() the server begins nothing new.  If
 * that does not do, an allocation waits for others to free memory, and only
 * after five seconds without any does the process end.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

/* Never return NULL.  The caller frees with free(). */
void *xmalloc(size_t size) __attribute__((malloc));
void *xcalloc(size_t count, size_t size) __attribute__((malloc));
void *xrealloc(void *memory, size_t size);
/*
 * An array of count items of a size, with room for one more: twice as large
 * when count is a power of two.
 */
void *mem_room(void *items, size_t count, size_t size);
char *xstrdup(const char *text) __attribute__((malloc));
char *xstrndup(const char *text, size_t length) __attribute__((malloc));
char *xasprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * AUTO(S_free) struct S *s = NULL; calls S_free(&s) at the end of the block,
 * whichever way it is left.  So does AUTO(buf_release) struct buf text =
 * BUF_INIT; and OWN_TEXT path = xstrdup(name); frees a text.  errno stays.
 */
#define AUTO(release) __attribute__((cleanup(release)))
#define OWN_TEXT AUTO(mem_free) char *

static inline void
mem_free(void *pointer)
{
	free(*(void **)pointer);
}

/* Once, before there are threads. */
void mem_set_reserve(size_t bytes);

/*
 * The reserve is gone.  Tries to get it again, about every 100 ms; any thread.
 */
bool mem_is_short(void);

#endif
