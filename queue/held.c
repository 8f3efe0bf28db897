/* SPDX-License-Identifier: ISC */
/* What an operator holds, on disk. */
#include "queue/held.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/scan.h"
#include "control/layout.h"
#include "queue/dir.h"

enum { HELD_MAX_BYTES = 64 * 1024 * 1024, NAME_MAX_BYTES = 255 };

bool
held_is_name(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (!isalnum((unsigned char)text[i]) &&
		    strchr("-_.", text[i]) == NULL)
			return false;
	return length > 0 && length <= NAME_MAX_BYTES;
}

bool
held_add_message(struct idmap *messages, uint64_t id, const char *queue)
{
	char *old = idmap_get(messages, id);
	bool has_same = queue == NULL || (old != NULL && !strcmp(old, queue));

	/* Held once more it is still on its way. */
	if (idmap_has(messages, id) && has_same)
		return false;
	idmap_put(messages, id, queue == NULL ? NULL : xstrdup(queue));
	free(old);
	return true;
}

bool
held_remove_message(struct idmap *messages, uint64_t id)
{
	free(idmap_get(messages, id));
	return idmap_remove(messages, id);
}

/* "ID" or "ID QUEUE" */
static int
take_held_message(struct held *held, const char *text, size_t length)
{
	const char *blank = memchr(text, ' ', length);
	size_t digits = blank == NULL ? length : (size_t)(blank - text);
	AUTO(mem_free) char *queue = NULL;
	uint64_t id;

	if (!scan_u64n(text, digits, UINT64_MAX, &id) || id == 0)
		return -1;
	if (blank != NULL && !held_is_name(blank + 1, length - digits - 1))
		return -1;
	if (blank != NULL)
		queue = xstrndup(blank + 1, length - digits - 1);
	held_add_message(&held->messages, id, queue);
	return 0;
}

static int
take_held_line(struct held *held, const char *line, size_t length)
{
	if (length > 5 && memcmp(line, "lane ", 5) == 0)
		strlist_addn(&held->lanes, line + 5, length - 5);
	else if (length > 4 && memcmp(line, "msg ", 4) == 0)
		return take_held_message(held, line + 4, length - 4);
	else
		return -1;
	return 0;
}

static int
take_held_text(struct held *held, const struct buf *text)
{
	const char *line = text->data, *end = line + text->length, *newline;

	for (; line < end; line = newline + 1) {
		newline = memchr(line, '\n', (size_t)(end - line));
		if (newline == NULL ||
		    take_held_line(held, line, (size_t)(newline - line)) == -1)
			return -1;
	}
	strlist_sort(&held->lanes);
	return 0;
}

int
held_read(const char *queue_path, struct held *held_out, struct error *err)
{
	AUTO(mem_free) char *path = queue_lock_path(queue_path, "held");
	AUTO(buf_release) struct buf text = BUF_INIT;

	*held_out = (struct held){ .lanes = { .count = 0 } };
	if (file_read(path, HELD_MAX_BYTES, &text, err) == -1)
		return errno == ENOENT ? 0 : -1;
	if (text.length == 0 || take_held_text(held_out, &text) == 0)
		return 0;
	held_release(held_out);
	return error_set(err,
	    "'%s' has a line that is none of 'msg ID', 'msg ID QUEUE' and 'lane KEY': mend it, "
	    "or remove it, and nothing is held",
	    path);
}

void
held_release(struct held *held)
{
	for (size_t i = 0; i < held->messages.size; i++)
		if (held->messages.slots[i].id != 0)
			free(held->messages.slots[i].value);
	idmap_release(&held->messages);
	strlist_release(&held->lanes);
}

void
held_put_message(struct buf *buf, uint64_t id, const char *queue)
{
	buf_addf(buf, "msg %" PRIu64 "%s%s\n", id, queue == NULL ? "" : " ",
	    queue == NULL ? "" : queue);
}

void
held_put_lane(struct buf *buf, const char *key)
{
	buf_addf(buf, "lane %s\n", key);
}

int
held_write(const char *queue_path, const struct buf *text, struct error *err)
{
	AUTO(mem_free) char *path = queue_lock_path(queue_path, "held");

	return file_replace(path, text->length == 0 ? "" : text->data,
	    text->length, layout_rows[LAYOUT_queue_held].mode, err);
}
