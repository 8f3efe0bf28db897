/* SPDX-License-Identifier: ISC */
/* What journal_open() tells, in order.  Include after cmocka.h. */
#ifndef TESTS_UNIT_JOURNAL_FOUND_H
#define TESTS_UNIT_JOURNAL_FOUND_H

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "queue/journal.h"

struct found_message {
	uint64_t id, segment;
	bool is_over;
	struct uuid uuid;
	uint64_t size_bytes;
	struct buf record, body; /* body.data NULL: it is in a file */
};

struct found {
	struct found_message *messages;
	size_t count, size;
};

static inline struct found_message *
add_found(struct found *found, uint64_t id)
{
	if (found->count == found->size) {
		found->size = found->size * 2 + 64;
		found->messages = xrealloc(
		    found->messages, found->size * sizeof(*found->messages));
	}
	found->messages[found->count] = (struct found_message){ .id = id };
	return &found->messages[found->count++];
}

static inline void
found_new(
    const struct journal_message *message, uint64_t segment, void *context)
{
	struct found_message *out = add_found(context, message->id);

	out->segment = segment;
	out->uuid = message->uuid;
	out->size_bytes = message->size_bytes;
	buf_add(&out->record, message->record, message->record_length);
	if (message->body != NULL) {
		buf_init(&out->body);
		buf_add(&out->body, message->body, message->size_bytes);
	}
}

static inline void
found_over(uint64_t id, const struct uuid *uuid, void *context)
{
	struct found_message *out = add_found(context, id);

	out->is_over = true;
	out->uuid = *uuid;
}

static inline void
found_reset(struct found *found)
{
	size_t i;

	for (i = 0; i < found->count; i++) {
		buf_release(&found->messages[i].record);
		buf_release(&found->messages[i].body);
	}
	free(found->messages);
	*found = (struct found){ .messages = NULL };
}

static inline struct journal_finder
found_finder(struct found *found)
{
	return (struct journal_finder){
		.message = found_new, .ended = found_over, .context = found
	};
}

/* "1 2 -3": what counts, and what has ended; good until the next call. */
static inline const char *
found_text(const struct found *found)
{
	static char text[4096];
	size_t i, at = 0;

	text[0] = '\0';
	for (i = 0; i < found->count && at < sizeof(text) - 32; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at,
		    "%s%s%" PRIu64, i == 0 ? "" : " ",
		    found->messages[i].is_over ? "-" : "",
		    found->messages[i].id);
	return text;
}

#endif
