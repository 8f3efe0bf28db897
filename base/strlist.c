/* SPDX-License-Identifier: ISC */
/* A list of texts. */
#include "base/strlist.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"

void
strlist_add(struct strlist *list, const char *text)
{
	strlist_addn(list, text, strlen(text));
}

void
strlist_addn(struct strlist *list, const char *text, size_t length)
{
	/* Doubled at each power of two; one place is for the NULL. */
	if ((list->count & (list->count + 1)) == 0)
		list->items = xrealloc(
		    list->items, 2 * (list->count + 1) * sizeof(*list->items));
	list->items[list->count++] = xstrndup(text, length);
	list->items[list->count] = NULL;
}

void
strlist_release(struct strlist *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i]);
	free(list->items);
	*list = (struct strlist){ .items = NULL };
}

static int
compare_texts(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void
strlist_sort(struct strlist *list)
{
	if (list->count > 0)
		qsort(list->items, list->count, sizeof(*list->items),
		    compare_texts);
}

bool
strlist_find(const struct strlist *list, const char *text)
{
	return list->count > 0 &&
	    bsearch(&text, list->items, list->count, sizeof(*list->items),
		compare_texts) != NULL;
}

bool
strlist_has(const struct strlist *list, const char *text)
{
	for (size_t i = 0; i < list->count; i++)
		if (strcmp(list->items[i], text) == 0)
			return true;
	return false;
}

bool
strlist_has_name(const struct strlist *list, const char *name)
{
	for (size_t i = 0; i < list->count; i++)
		if (strcasecmp(list->items[i], name) == 0)
			return true;
	return false;
}
