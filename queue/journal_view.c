/* SPDX-License-Identifier: ISC */
/* What a queue's journal holds. */
#include "queue/journal_view.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "queue/idmap.h"

static int
read_file(int lock_folder, const char *queue_path, struct buf *data,
    struct error *err)
{
	int fd = openat(
	    lock_folder, QUEUE_JOURNAL, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	int result;

	if (fd == -1 && errno == ENOENT)
		return 0;
	result = fd == -1 ? -1 : queue_read(fd, data);
	if (result == -1)
		error_sys(
		    err, "cannot read '%s/lock/" QUEUE_JOURNAL "'", queue_path);
	if (fd != -1)
		close(fd);
	return result;
}

/* A file that was cut has lost what lay behind. */
static void
pad(struct journal_view *view)
{
	size_t whole = (size_t)JOURNAL_HALVES * JOURNAL_HALF_BYTES;
	struct buf *data = &view->data;

	if (data->length >= whole)
		return;
	view->is_damaged = true;
	buf_reserve(data, whole - data->length);
	memset(data->data + data->length, 0, whole - data->length);
	data->length = whole;
	data->data[whole] = '\0';
}

/* One record after the other; of an id the last one counts. */
static void
add_record(struct journal_view *view, struct idmap *places, size_t *size,
    const struct journal_record *record)
{
	const struct journal_record *old = idmap_get(places, record->id);
	size_t place = (size_t)(uintptr_t)old;

	view->is_damaged |= record->skipped > 0;
	if (place != 0)
		view->records[place - 1].id = 0;
	if (record->is_over) {
		idmap_remove(places, record->id);
		return;
	}
	if (view->count == *size) {
		*size = *size * 2 + 64;
		view->records = xrealloc(
		    view->records, *size * sizeof(*view->records));
	}
	view->records[view->count++] = *record;
	idmap_put(places, record->id, (void *)(uintptr_t)view->count);
}

/* A header is a sector: there was none, or it is whole. */
static void
read_header(struct journal_view *view, unsigned half)
{
	static const char none[JOURNAL_HEADER_BYTES];
	const char *data = view->data.data + half * JOURNAL_HALF_BYTES;

	view->generations[half] = journal_get_header(data, JOURNAL_HALF_BYTES);
	if (view->generations[half] == 0 &&
	    memcmp(data, none, sizeof(none)) != 0)
		view->is_damaged = true;
}

static void
add_half(struct journal_view *view, struct idmap *places, size_t *size,
    unsigned half)
{
	const char *data = view->data.data + half * JOURNAL_HALF_BYTES;
	size_t at = JOURNAL_HEADER_BYTES;
	struct journal_record record;

	if (view->generations[half] == 0)
		return;
	while (journal_get_record(
	    data, JOURNAL_HALF_BYTES, view->generations[half], &at, &record))
		add_record(view, places, size, &record);
}

/* Those that are not over move up. */
static void
close_up(struct journal_view *view)
{
	size_t i, kept = 0;

	for (i = 0; i < view->count; i++)
		if (view->records[i].id != 0)
			view->records[kept++] = view->records[i];
	view->count = kept;
}

int
journal_view_read(int lock_folder, const char *queue_path,
    struct journal_view *view_out, struct error *err)
{
	struct journal_view *view = view_out;
	struct idmap places = { .slots = NULL };
	size_t size = 0;
	unsigned half, older;

	*view = (struct journal_view){ .records = NULL };
	if (read_file(lock_folder, queue_path, &view->data, err) == -1) {
		buf_release(&view->data);
		return -1;
	}
	if (view->data.length == 0)
		return 0;
	pad(view);
	for (half = 0; half < JOURNAL_HALVES; half++)
		read_header(view, half);
	older = view->generations[1] < view->generations[0];
	/*
	 * A half two generations back was begun anew, and counted no more; that
	 * its new header is not there is a failed sync's work.
	 */
	if (view->generations[older] + 1 == view->generations[!older])
		add_half(view, &places, &size, older);
	add_half(view, &places, &size, !older);
	idmap_release(&places);
	close_up(view);
	return 0;
}

int
journal_view_open(const struct queue_dir *dir, struct journal_view *view_out,
    struct error *err)
{
	return journal_view_read(
	    queue_dir_fd(dir, QUEUE_LOCK, 0), dir->path, view_out, err);
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
	free(view->records);
	buf_release(&view->data);
	*view = (struct journal_view){ .records = NULL };
}
