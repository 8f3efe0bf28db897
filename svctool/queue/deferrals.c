/* SPDX-License-Identifier: ISC */
/* Why messages of a queue were deferred, by its log. */
#include "svctool/queue/deferrals.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/strlist.h"
#include "svctool/show/log_fields.h"
#include "svctool/show/log_reader.h"

enum { REASONS_MAX = 20 }; /* of one message; each once */

static void
forget_message(struct idmap *map, uint64_t id)
{
	struct strlist *reasons = idmap_get(map, id);

	if (reasons == NULL)
		return;
	idmap_remove(map, id);
	strlist_release(reasons);
	free(reasons);
}

/* "delivery 3: deferral: text" */
static void
take_result(struct idmap *map, uint64_t id, const char *text)
{
	static const char word[] = ": deferral: ";
	const char *reason = strstr(text, word);
	struct strlist *reasons;

	if (reason == NULL || strchr(text, ':') != reason)
		return;
	reason += sizeof(word) - 1;
	reasons = idmap_get(map, id);
	if (reasons == NULL) {
		reasons = xcalloc(1, sizeof(*reasons));
		idmap_put(map, id, reasons);
	}
	if (reasons->count < REASONS_MAX && !strlist_has(reasons, reason))
		strlist_add(reasons, reason);
}

/* deliveries: the number of the message of each that runs. */
static void
take_line(struct deferrals *out, struct idmap *deliveries, const char *queue,
    const char *text)
{
	struct log_fields fields;
	uintptr_t message;

	log_fields_read(queue, text, &fields);
	switch (fields.kind) {
	case LOG_KIND_START:
		if (fields.delivery == 0)
			break; /* a damaged line */
		idmap_remove(deliveries, fields.delivery);
		idmap_put(deliveries, fields.delivery,
		    (void *)(uintptr_t)fields.message);
		break;
	case LOG_KIND_RESULT:
		if (fields.delivery == 0)
			break;
		message = (uintptr_t)idmap_get(deliveries, fields.delivery);
		idmap_remove(deliveries, fields.delivery);
		if (message != 0)
			take_result(&out->by_message, message, text);
		break;
	case LOG_KIND_END:
		if (fields.message != 0)
			forget_message(&out->by_message, fields.message);
		break;
	case LOG_KIND_RUNNING:
		idmap_release(deliveries);
		break;
	case LOG_KIND_OTHER:
	case LOG_KIND_NEW:
	case LOG_KIND_INFO:
	case LOG_KIND_REFUSED:
	case LOG_KIND_SESSION:
		break;
	}
}

void
deferrals_load(
    const struct node *node, const char *queue, struct deferrals *out)
{
	AUTO(mem_free)
	char *folder = node_path(node, "%s/%s", node->home->log, queue);
	const struct timespec always = { 0, 0 };
	struct log_reader *reader = log_reader_new(folder, &always, false);
	struct idmap deliveries = { .slots = NULL };
	struct log_entry entry;
	struct error unused;

	*out = (struct deferrals){ .by_message = { .slots = NULL } };
	while (log_reader_next(reader, &entry, &unused) == 1)
		take_line(out, &deliveries, queue, entry.text);
	idmap_release(&deliveries);
	log_reader_free(&reader);
}

void
deferrals_release(struct deferrals *deferrals)
{
	struct idmap *map = &deferrals->by_message;

	for (size_t i = 0; i < map->size; i++)
		if (map->slots[i].id != 0) {
			struct strlist *reasons = map->slots[i].value;

			strlist_release(reasons);
			free(reasons);
		}
	idmap_release(map);
}

bool
deferrals_match(
    const struct deferrals *deferrals, uint64_t id, const char *pattern)
{
	const struct strlist *reasons = idmap_get(&deferrals->by_message, id);
	bool does_match = false;

	for (size_t i = 0; reasons != NULL && i < reasons->count && !does_match;
	     i++) {
		char *words = xstrdup(reasons->items[i]);

		for (char *c = words; *c != '\0'; c++)
			if (*c == '_')
				*c = ' ';
		does_match = fnmatch(pattern, words, FNM_CASEFOLD) == 0 ||
		    fnmatch(pattern, reasons->items[i], FNM_CASEFOLD) == 0;
		free(words);
	}
	return does_match;
}
