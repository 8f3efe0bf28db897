/* SPDX-License-Identifier: ISC */
/* A list of texts. */
#ifndef BASE_STRLIST_H
#define BASE_STRLIST_H

#include <stdbool.h>
#include <stddef.h>

struct strlist {
	char **items; /* NULL-ended; NULL as long as nothing was added */
	size_t count;
};

/* The text, or the first length bytes of it, is copied. */
void strlist_add(struct strlist *list, const char *text);
void strlist_addn(struct strlist *list, const char *text, size_t length);
/* The list is empty afterwards, and may be used again. */
void strlist_release(struct strlist *list);

/* Sorts by bytes; strlist_find() is of a sorted list. */
void strlist_sort(struct strlist *list);
bool strlist_find(const struct strlist *list, const char *text);
/* Whether it has the text, or has it in any case of letters; of any list. */
bool strlist_has(const struct strlist *list, const char *text);
bool strlist_has_name(const struct strlist *list, const char *name);

#endif
