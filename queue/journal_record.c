/* SPDX-License-Identifier: ISC */
/* Formats and parses the records of lock/journal. */
#include "queue/journal_record.h"

#include <endian.h>
#include <string.h>
#include <zlib.h>

#include "base/wire.h"

static const char magic[] = "mqmail journal 1\n";

enum { TYPE_ENVELOPE = '+', TYPE_OVER = '-' };

enum { CRC_BYTES = 4, LENGTH_BYTES = 4, GENERATION_AT = 8 };

static uint32_t
sum(const char *data, size_t length)
{
	return (uint32_t)crc32(0, (const Bytef *)data, (uInt)length);
}

/* Writes a number into space that was left for it. */
static void
set_u32(struct buf *buf, size_t at, size_t value)
{
	uint32_t little = htole32((uint32_t)value);

	memcpy(buf->data + at, &little, sizeof(little));
}

void
journal_put_header(struct buf *buf, uint64_t generation)
{
	size_t start = buf->length;

	buf_adds(buf, magic);
	wire_put_u64(buf, generation);
	wire_put_u32(buf, sum(buf->data + start, buf->length - start));
	while (buf->length < start + JOURNAL_HEADER_BYTES)
		buf_addc(buf, '\0');
}

uint64_t
journal_get_header(const char *half, size_t length)
{
	size_t covered = strlen(magic) + sizeof(uint64_t);
	struct wire_reader reader;
	uint64_t generation;

	if (length < JOURNAL_HEADER_BYTES ||
	    memcmp(half, magic, strlen(magic)) != 0)
		return 0;
	wire_open(&reader, half + strlen(magic),
	    JOURNAL_HEADER_BYTES - strlen(magic));
	generation = wire_get_u64(&reader);
	return wire_get_u32(&reader) == sum(half, covered) ? generation : 0;
}

void
journal_put_record(
    struct buf *buf, uint64_t generation, const struct journal_record *record)
{
	size_t start = buf->length, covered = start + CRC_BYTES;

	wire_put_u32(buf, 0);
	wire_put_u32(buf, 0);
	wire_put_u64(buf, generation);
	wire_put_u8(buf, record->is_over ? TYPE_OVER : TYPE_ENVELOPE);
	wire_put_u64(buf, record->id);
	if (!record->is_over) {
		wire_put_u64(buf, record->size_bytes);
		wire_put_u64(buf, (uint64_t)record->mtime_s);
		wire_put_bytes(buf, record->envelope, record->length);
	}
	set_u32(buf, covered, buf->length - covered - LENGTH_BYTES);
	set_u32(buf, start, sum(buf->data + covered, buf->length - covered));
}

/* The whole record at the front of data; how long it is, or 0. */
static size_t
parse(const char *data, size_t length, struct journal_record *record_out)
{
	struct wire_reader reader;
	uint32_t expected, size;
	uint8_t type;

	wire_open(&reader, data, length);
	expected = wire_get_u32(&reader);
	size = wire_get_u32(&reader);
	if (reader.has_failed || size > reader.left ||
	    sum(data + CRC_BYTES, LENGTH_BYTES + size) != expected)
		return 0;
	wire_open(&reader, data + GENERATION_AT, size);
	wire_get_u64(&reader);
	type = wire_get_u8(&reader);
	*record_out = (struct journal_record){ .id = wire_get_u64(&reader),
		.is_over = type == TYPE_OVER };
	if (type == TYPE_ENVELOPE) {
		record_out->size_bytes = wire_get_u64(&reader);
		record_out->mtime_s = (int64_t)wire_get_u64(&reader);
		record_out->envelope = wire_get_bytes(
		    &reader, &record_out->length);
	} else if (type != TYPE_OVER)
		return 0;
	return wire_done(&reader) && record_out->id != 0 ? GENERATION_AT + size
							 : 0;
}

bool
journal_get_record(const char *half, size_t length, uint64_t generation,
    size_t *at, struct journal_record *record_out)
{
	uint64_t wanted = htole64(generation);
	size_t place, size;

	/*
	 * Behind a damaged place there may be others.  No envelope has a
	 * generation in it, which is mostly NULs.
	 */
	for (place = *at; place + JOURNAL_OVER_BYTES <= length; place++) {
		const char *found = memchr(half + place + GENERATION_AT,
		    (int)(generation & 0xff), length - place - GENERATION_AT);

		if (found == NULL)
			return false;
		place = (size_t)(found - half) - GENERATION_AT;
		if (place + JOURNAL_OVER_BYTES > length ||
		    memcmp(found, &wanted, sizeof(wanted)) != 0)
			continue;
		size = parse(half + place, length - place, record_out);
		if (size == 0)
			continue;
		record_out->skipped = place - *at;
		*at = place + size;
		return true;
	}
	return false;
}
