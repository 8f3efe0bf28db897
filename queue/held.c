/* SPDX-License-Identifier: ISC */
/* What an operator holds, on disk. */
#include "queue/held.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/scan.h"
#include "control/layout.h"
#include "queue/dir.h"

enum { HELD_MAX_BYTES = 64 * 1024 * 1024 };

static int
take_held_line(struct held *held, const char *line, size_t length)
{
	uint64_t id;

	if (length > 5 && memcmp(line, "lane ", 5) == 0)
		strlist_addn(&held->lanes, line + 5, length - 5);
	else if (length > 4 && memcmp(line, "msg ", 4) == 0 &&
	    scan_u64n(line + 4, length - 4, UINT64_MAX, &id) && id != 0)
		idmap_put(&held->messages, id, NULL);
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
	    "'%s' has a line that is neither 'msg ID' nor 'lane KEY': mend it, "
	    "or remove it, and nothing is held",
	    path);
}

void
held_release(struct held *held)
{
	idmap_release(&held->messages);
	strlist_release(&held->lanes);
}

void
held_put_message(struct buf *buf, uint64_t id)
{
	buf_addf(buf, "msg %" PRIu64 "\n", id);
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
