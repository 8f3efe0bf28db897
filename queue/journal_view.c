/* SPDX-License-Identifier: ISC */
/* What a queue's journal holds. */
#include "queue/journal_view.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "queue/journal_scan.h"
#include "queue/upgrade.h"

/* Its texts go behind the others, where point_at_texts() finds them. */
static void
add_viewed(const struct journal_message *message, enum journal_type over,
    uint64_t count, void *context)
{
	struct journal_view *view = context;

	(void)count;
	if (over != JOURNAL_NEW)
		return;
	if ((view->count & (view->count - 1)) == 0) /* full: twice as many */
		view->messages = xrealloc(view->messages,
		    (view->count == 0 ? 1 : 2 * view->count) *
			sizeof(*view->messages));
	view->messages[view->count++] = *message;
	buf_add(&view->data, message->record, message->record_length);
	if (message->body != NULL)
		buf_add(&view->data, message->body, message->size_bytes);
}

static void
point_at_texts(struct journal_view *view)
{
	const char *at = view->data.data;
	size_t i;

	for (i = 0; i < view->count; i++) {
		struct journal_message *message = &view->messages[i];

		message->record = at;
		at += message->record_length;
		if (message->body == NULL)
			continue;
		message->body = at;
		at += message->size_bytes;
	}
}

int
journal_view_open(const struct queue_dir *dir, struct journal_view *view_out,
    struct error *err)
{
	struct journal_teller teller = { .message = add_viewed,
		.context = view_out };
	int lock = queue_dir_fd(dir, QUEUE_LOCK, 0);
	struct journal_scan scan;
	unsigned place;

	*view_out = (struct journal_view){ .messages = NULL };
	buf_init(&view_out->data);
	if (upgrade_check_journal(dir, err) == -1 ||
	    journal_scan(lock, dir->path, &teller, &scan, err) == -1) {
		journal_view_release(view_out);
		return -1;
	}
	for (place = 0; place < JOURNAL_SEGMENTS; place++)
		view_out->is_damaged |= scan.segments[place].is_damaged &&
		    !scan.segments[place].is_aside;
	point_at_texts(view_out);
	return 0;
}

bool
queue_is_kept(const char *name)
{
	return strncmp(name, QUEUE_DAMAGED, strlen(QUEUE_DAMAGED)) == 0 ||
	    strncmp(name, QUEUE_ASIDE, strlen(QUEUE_ASIDE)) == 0;
}

void
journal_view_release(struct journal_view *view)
{
	free(view->messages);
	buf_release(&view->data);
	*view = (struct journal_view){ .messages = NULL };
}
