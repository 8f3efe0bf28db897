/* SPDX-License-Identifier: ISC */
/* Reads a journal's segments. */
#include "queue/journal_scan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "queue/idmap.h"
#include "queue/upgrade.h"

enum { READ_BYTES = 1024 * 1024 };

/* One reading of the whole journal. */
struct reading {
	const struct queue_dir *dir;
	const struct journal_teller *teller;
	struct journal_scan *scan;
	struct buf data;   /* of one segment */
	struct idmap over; /* the ids that have ended, and how */
	struct idmap told;
	uint64_t counting[JOURNAL_SEGMENTS]; /* messages there, at most */
	struct idmap places; /* of these: 1 and the segment's place */
};

void
journal_name(char name_out[JOURNAL_NAME_SIZE], unsigned place)
{
	snprintf(name_out, JOURNAL_NAME_SIZE, QUEUE_JOURNAL ".%u", place);
}

/* -- files */

/*
 * The first bytes of a segment; where they cannot be read, zeros, page by page,
 * to lose no more than that.  True when all could be.
 */
static bool
read_segment(int fd, size_t length, struct buf *data)
{
	size_t some = READ_BYTES;
	bool is_whole = true;

	buf_reset(data);
	buf_reserve(data, length);
	while (data->length < length) {
		size_t left = length - data->length;
		ssize_t n;

		if (left < some)
			some = left;
		n = pread(
		    fd, data->data + data->length, some, (off_t)data->length);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && some > JOURNAL_PAGE_BYTES) {
			some = JOURNAL_PAGE_BYTES;
			continue;
		}
		if (n <= 0) {
			memset(data->data + data->length, 0, some);
			is_whole = false;
		}
		data->length += n <= 0 ? some : (size_t)n;
	}
	data->data[length] = '\0';
	return is_whole;
}

static int
open_to_read(const struct reading *reading, unsigned place, struct error *err)
{
	char name[JOURNAL_NAME_SIZE];
	int fd;

	journal_name(name, place);
	fd = openat(queue_dir_fd(reading->dir, QUEUE_LOCK, 0), name,
	    O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd == -1 && errno != ENOENT)
		error_sys(
		    err, "cannot open '%s/lock/%s'", reading->dir->path, name);
	return fd;
}

/* -- headers */

static bool
is_zeros(const char *data, size_t length)
{
	return length == 0 ||
	    (data[0] == '\0' && memcmp(data, data + 1, length - 1) == 0);
}

/*
 * A segment's first page is written whole or not at all.  Where it is lost the
 * first record says the same; which is never one of somebody's making.
 */
static void
read_header(struct reading *reading, int fd, struct journal_found *found)
{
	size_t length = 2 * JOURNAL_PAGE_BYTES;
	struct buf *data = &reading->data;
	struct journal_record record;
	uint64_t next_id;
	bool is_whole;

	if (found->size_bytes < length)
		length = found->size_bytes;
	is_whole = read_segment(fd, length, data);
	if (journal_get_header(
		data->data, length, &found->generation, &next_id)) {
		if (next_id > reading->scan->next_id)
			reading->scan->next_id = next_id;
		return;
	}
	found->generation = 0;
	found->is_damaged = !is_whole || !is_zeros(data->data, length);
	/* The whole record may be longer. */
	if (!found->is_damaged)
		return;
	read_segment(fd, found->size_bytes, data);
	if (data->length <= JOURNAL_PAGE_BYTES ||
	    journal_get_record(data->data + JOURNAL_PAGE_BYTES,
		data->length - JOURNAL_PAGE_BYTES, &found->generation,
		&record) == 0 ||
	    journal_count(found->generation) == 0)
		found->generation = 0;
}

static int
find_segment(struct reading *reading, unsigned place, struct error *err)
{
	struct journal_found *found = &reading->scan->segments[place];
	int fd = open_to_read(reading, place, err);
	struct stat st;

	if (fd == -1)
		return errno == ENOENT ? 0 : -1;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0) {
		found->size_bytes = (uint64_t)st.st_size;
		found->is_aside = st.st_nlink > 1;
		read_header(reading, fd, found);
	}
	close(fd);
	if (found->generation != 0 &&
	    journal_count(found->generation) % JOURNAL_SEGMENTS != place) {
		found->is_damaged = true; /* somebody has moved it */
		found->generation = 0;
	}
	if (journal_count(found->generation) > reading->scan->newest)
		reading->scan->newest = journal_count(found->generation);
	return 0;
}

/*
 * One whose place has come again is over, even if its new header is not there:
 * that can be a failed sync's work.
 */
static void
find_counting(struct journal_scan *scan)
{
	for (unsigned place = 0; place < JOURNAL_SEGMENTS; place++) {
		struct journal_found *found = &scan->segments[place];

		found->counts = found->generation != 0 &&
		    journal_count(found->generation) + JOURNAL_SEGMENTS >
			scan->newest;
		if (found->generation != 0 && !found->counts)
			found->is_damaged = false;
	}
}

/* -- records */

static void
note_record(struct reading *reading, const struct journal_record *record,
    unsigned place)
{
	uint64_t id = record->message.id;
	uintptr_t where = (uintptr_t)idmap_get(&reading->places, id);

	if (id >= reading->scan->next_id && id < UINT64_MAX)
		reading->scan->next_id = id + 1;
	if (record->type == JOURNAL_NEW) {
		/* Of two only the first is told. */
		if (where == 0) {
			reading->counting[place]++;
			idmap_put(&reading->places, id,
			    (void *)(uintptr_t)(place + 1));
		}
		return;
	}
	idmap_put(&reading->over, id, (void *)(uintptr_t)record->type);
	if (where != 0)
		reading->counting[where - 1]--;
	idmap_remove(&reading->places, id);
}

static void
tell_record(struct reading *reading, const struct journal_record *record,
    uint64_t count)
{
	uintptr_t over = (uintptr_t)idmap_get(
	    &reading->over, record->message.id);

	if (record->type == JOURNAL_NEW &&
	    idmap_put(&reading->told, record->message.id, NULL))
		reading->teller->message(&record->message,
		    over == 0 ? JOURNAL_NEW : (enum journal_type)over, count,
		    reading->teller->context);
}

static int
read_records(
    struct reading *reading, unsigned place, bool is_telling, struct error *err)
{
	struct journal_found *found = &reading->scan->segments[place];
	int fd = open_to_read(reading, place, err);
	struct journal_cursor cursor;
	struct journal_record record;

	if (fd == -1)
		return errno == ENOENT ? 0 : -1;
	if (!read_segment(fd, found->size_bytes, &reading->data))
		found->is_damaged = true;
	close(fd);
	journal_cursor_open(&cursor, reading->data.data, reading->data.length,
	    found->generation);
	while (journal_cursor_next(&cursor, &record))
		if (is_telling)
			tell_record(
			    reading, &record, journal_count(found->generation));
		else
			note_record(reading, &record, place);
	found->is_damaged |= cursor.is_damaged;
	return 0;
}

/* All that count, in their order. */
static int
read_all(struct reading *reading, bool is_telling, struct error *err)
{
	uint64_t newest = reading->scan->newest;

	for (uint64_t i = 1; i <= JOURNAL_SEGMENTS; i++) {
		unsigned place = (newest + i) % JOURNAL_SEGMENTS;

		if (reading->scan->segments[place].counts &&
		    (!is_telling || reading->teller->wants_all ||
			reading->counting[place] > 0) &&
		    read_records(reading, place, is_telling, err) == -1)
			return -1;
	}
	return 0;
}

int
journal_scan(const struct queue_dir *dir, const struct journal_teller *teller,
    struct journal_scan *scan_out, struct error *err)
{
	struct reading reading = {
		.dir = dir, .teller = teller, .scan = scan_out
	};
	int result = 0;

	*scan_out = (struct journal_scan){ .next_id = 1 };
	for (unsigned place = 0; result == 0 && place < JOURNAL_SEGMENTS;
	     place++)
		result = find_segment(&reading, place, err);
	find_counting(scan_out);
	/* Ends first: they can be in a later segment than their messages. */
	if (result == 0)
		result = read_all(&reading, false, err);
	if (result == 0)
		result = read_all(&reading, true, err);
	buf_release(&reading.data);
	idmap_release(&reading.over);
	idmap_release(&reading.told);
	idmap_release(&reading.places);
	return result;
}

/* -- views */

/* Its texts go behind the others, where point_at_texts() finds them. */
static void
add_viewed(const struct journal_message *message, enum journal_type over,
    uint64_t count, void *context)
{
	struct journal_view *view = context;

	(void)count;
	if (over != JOURNAL_NEW)
		return;
	view->messages = mem_room(
	    view->messages, view->count, sizeof(*view->messages));
	view->messages[view->count++] = *message;
	buf_add(&view->data, message->record, message->record_length);
	if (message->body != NULL)
		buf_add(&view->data, message->body, message->size_bytes);
}

static void
point_at_texts(struct journal_view *view)
{
	const char *at = view->data.data;

	for (size_t i = 0; i < view->count; i++) {
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
	struct journal_scan scan;

	*view_out = (struct journal_view){ .messages = NULL };
	buf_init(&view_out->data);
	if (upgrade_check_journal(dir, err) == -1 ||
	    journal_scan(dir, &teller, &scan, err) == -1) {
		journal_view_release(view_out);
		return -1;
	}
	for (unsigned place = 0; place < JOURNAL_SEGMENTS; place++)
		view_out->is_damaged |= scan.segments[place].is_damaged &&
		    !scan.segments[place].is_aside;
	point_at_texts(view_out);
	return 0;
}

void
journal_view_release(struct journal_view *view)
{
	free(view->messages);
	buf_release(&view->data);
	*view = (struct journal_view){ .messages = NULL };
}
