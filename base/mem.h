/* SPDX-License-Identifier: ISC */
/*
 * Memory whose exhaustion ends the process: the supervisor starts it again,
 * and the queue's rules make that safe.  Sizes that a peer chooses are checked
 * against a limit before these are called.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

/* Never return NULL.  The caller frees with free(). */
void *xmalloc(size_t size) __attribute__((malloc));
void *xcalloc(size_t count, size_t size) __attribute__((malloc));
void *xrealloc(void *memory, size_t size);
char *xstrdup(const char *text) __attribute__((malloc));
char *xstrndup(const char *text, size_t length) __attribute__((malloc));
char *xasprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
