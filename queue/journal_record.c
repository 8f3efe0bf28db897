/* SPDX-License-Identifier: ISC */
/* The format of a journal's segments. */
#include "queue/journal_record.h"

#include <endian.h>
#include <string.h>
#include <zlib.h>

#include "base/wire.h"

static const char magic[] = "mqmail journal 2\n";

enum { CRC_BYTES = 4, LENGTH_BYTES = 4, GENERATION_AT = 8 };

static uint32_t
checksum(const char *data, size_t length)
{
	return (uint32_t)crc32_z(0, (const Bytef *)data, length);
}

/* Writes a number into space that was left for it. */
static void
set_u32(struct buf *buf, size_t at, size_t value)
{
	uint32_t little = htole32((uint32_t)value);

	memcpy(buf->data + at, &little, sizeof(little));
}

static size_t
next_page(size_t at)
{
	return (at + JOURNAL_PAGE_BYTES - 1) / JOURNAL_PAGE_BYTES *
	    JOURNAL_PAGE_BYTES;
}

void
journal_put_header(struct buf *buf, uint64_t generation, uint64_t next_id)
{
	size_t start = buf->length, left;

	buf_adds(buf, magic);
	wire_put_u64(buf, generation);
	wire_put_u64(buf, next_id);
	wire_put_u32(buf, checksum(buf->data + start, buf->length - start));
	left = start + JOURNAL_PAGE_BYTES - buf->length;
	buf_reserve(buf, left);
	memset(buf->data + buf->length, 0, left + 1);
	buf->length += left;
}

bool
journal_get_header(const char *page, size_t length, uint64_t *generation_out,
    uint64_t *next_id_out)
{
	struct wire_reader reader;
	size_t covered;

	if (length < JOURNAL_PAGE_BYTES ||
	    memcmp(page, magic, strlen(magic)) != 0)
		return false;
	wire_open(
	    &reader, page + strlen(magic), JOURNAL_PAGE_BYTES - strlen(magic));
	*generation_out = wire_get_u64(&reader);
	*next_id_out = wire_get_u64(&reader);
	covered = (size_t)(reader.at - page);
	return wire_get_u32(&reader) == checksum(page, covered) &&
	    journal_count(*generation_out) != 0;
}

static void
put_message(struct buf *buf, const struct journal_message *message)
{
	wire_put_uuid(buf, &message->uuid);
	wire_put_u64(buf, (uint64_t)message->birth_s);
	wire_put_u64(buf, message->size_bytes);
	wire_put_u8(buf, message->body != NULL);
	wire_put_bytes(buf, message->record, message->record_length);
	if (message->body != NULL)
		buf_add(buf, message->body, message->size_bytes);
}

void
journal_put_record(
    struct buf *buf, uint64_t generation, const struct journal_record *record)
{
	size_t start = buf->length, covered = start + CRC_BYTES;

	wire_put_u32(buf, 0);
	wire_put_u32(buf, 0);
	wire_put_u64(buf, generation);
	wire_put_u32(buf, record->page);
	wire_put_u8(buf, (uint8_t)record->type);
	wire_put_u64(buf, record->message.id);
	if (record->type == JOURNAL_NEW)
		put_message(buf, &record->message);
	set_u32(buf, covered, buf->length - covered - LENGTH_BYTES);
	set_u32(
	    buf, start, checksum(buf->data + covered, buf->length - covered));
}

static void
get_message(struct wire_reader *reader, struct journal_message *message)
{
	bool is_here;

	message->uuid = wire_get_uuid(reader);
	message->birth_s = (int64_t)wire_get_u64(reader);
	message->size_bytes = wire_get_u64(reader);
	is_here = wire_get_u8(reader);
	message->record = wire_get_bytes(reader, &message->record_length);
	if (!is_here || reader->has_failed ||
	    reader->left != message->size_bytes)
		return; /* what is left makes it a bad record */
	message->body = reader->at;
	reader->left = 0;
}

size_t
journal_get_record(const char *data, size_t length, uint64_t *generation_out,
    struct journal_record *record_out)
{
	struct journal_record *record = record_out;
	struct wire_reader reader;
	uint32_t expected, size;

	*record = (struct journal_record){ .page = 0 };
	wire_open(&reader, data, length);
	expected = wire_get_u32(&reader);
	size = wire_get_u32(&reader);
	if (reader.has_failed || size > reader.left ||
	    checksum(data + CRC_BYTES, LENGTH_BYTES + (size_t)size) != expected)
		return 0;
	wire_open(&reader, data + GENERATION_AT, size);
	*generation_out = wire_get_u64(&reader);
	record->page = wire_get_u32(&reader);
	record->type = wire_get_u8(&reader);
	record->message.id = wire_get_u64(&reader);
	if (record->type == JOURNAL_NEW)
		get_message(&reader, &record->message);
	if (!wire_done(&reader) || record->message.id == 0 ||
	    (record->type != JOURNAL_NEW && record->type != JOURNAL_END &&
		record->type != JOURNAL_WITHDRAWN))
		*record = (struct journal_record){ .type = JOURNAL_UNREADABLE };
	return GENERATION_AT + (size_t)size;
}

void
journal_cursor_open(struct journal_cursor *cursor, const char *data,
    size_t length, uint64_t generation)
{
	*cursor = (struct journal_cursor){ .data = data,
		.length = length,
		.generation = generation,
		.at = JOURNAL_PAGE_BYTES };
}

/* The record that is exactly there; how long it is, or 0. */
static size_t
get_record_at(
    struct journal_cursor *cursor, size_t at, struct journal_record *record_out)
{
	uint64_t generation;
	size_t size;

	if (at >= cursor->length)
		return 0;
	size = journal_get_record(
	    cursor->data + at, cursor->length - at, &generation, record_out);
	if (size == 0 || generation != cursor->generation)
		return 0;
	if (record_out->type == JOURNAL_UNREADABLE)
		cursor->is_damaged = true;
	return record_out->page != 0 &&
		record_out->page <= at / JOURNAL_PAGE_BYTES
	    ? size
	    : 0;
}

/* Behind a damaged place there may be others: the next one, or 0. */
static size_t
find_next_record(struct journal_cursor *cursor, size_t at,
    struct journal_record *record_out, size_t *size_out)
{
	uint64_t wanted = htole64(cursor->generation);

	while (at + JOURNAL_END_BYTES <= cursor->length) {
		const char *from = cursor->data + at + GENERATION_AT;
		const char *found = memmem(from,
		    (size_t)(cursor->data + cursor->length - from), &wanted,
		    sizeof(wanted));

		if (found == NULL)
			break;
		at = (size_t)(found - cursor->data) - GENERATION_AT;
		*size_out = get_record_at(cursor, at, record_out);
		if (*size_out != 0)
			return at;
		at++;
	}
	return 0;
}

/* A later batch is there: so all of those before it must be. */
static void
begin_batch(struct journal_cursor *cursor, uint32_t page, size_t at)
{
	size_t begin = (size_t)page * JOURNAL_PAGE_BYTES;

	if (cursor->has_gap || begin != next_page(cursor->at))
		cursor->is_damaged = true;
	cursor->has_gap = at != begin;
	cursor->page = page;
}

static bool
is_padding(const struct journal_cursor *cursor, size_t from, size_t to)
{
	while (from < to && cursor->data[from] == '\0')
		from++;
	return from == to;
}

bool
journal_cursor_next(
    struct journal_cursor *cursor, struct journal_record *record_out)
{
	size_t page_end = next_page(cursor->at), at = cursor->at, size;

	size = get_record_at(cursor, at, record_out);
	if (size == 0 && at != page_end && page_end <= cursor->length) {
		if (is_padding(cursor, at, page_end)) {
			at = page_end;
			size = get_record_at(cursor, at, record_out);
		} else
			cursor->has_gap = true;
	}
	if (size == 0)
		at = find_next_record(cursor, at, record_out, &size);
	if (at == 0)
		return false;
	if (record_out->page > cursor->page)
		begin_batch(cursor, record_out->page, at);
	else if (at != cursor->at)
		cursor->has_gap = true;
	cursor->at = at + size;
	return true;
}
