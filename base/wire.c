/* SPDX-License-Identifier: ISC */
/* The fields of a packet between our own processes. */
#include "base/wire.h"

#include <endian.h>
#include <string.h>

void
wire_put_u8(struct buf *buf, uint8_t value)
{
	buf_add(buf, &value, sizeof(value));
}

void
wire_put_u32(struct buf *buf, uint32_t value)
{
	value = htole32(value);
	buf_add(buf, &value, sizeof(value));
}

void
wire_put_u64(struct buf *buf, uint64_t value)
{
	value = htole64(value);
	buf_add(buf, &value, sizeof(value));
}

void
wire_put_bytes(struct buf *buf, const void *data, size_t length)
{
	wire_put_u32(buf, (uint32_t)length);
	buf_add(buf, data, length);
}

void
wire_put_text(struct buf *buf, const char *text)
{
	wire_put_bytes(buf, text, strlen(text) + 1);
}

void
wire_put_uuid(struct buf *buf, const struct uuid *uuid)
{
	buf_add(buf, uuid->bytes, UUID_BYTES);
}

void
wire_open(struct wire_reader *reader, const void *data, size_t length)
{
	reader->at = data;
	reader->left = length;
	reader->has_failed = false;
}

static const char *
take_bytes(struct wire_reader *reader, size_t length)
{
	const char *at = reader->at;

	if (reader->has_failed || reader->left < length) {
		reader->has_failed = true;
		return NULL;
	}
	reader->at += length;
	reader->left -= length;
	return at;
}

static void
get_wire_number(struct wire_reader *reader, void *number, size_t size)
{
	const char *at = take_bytes(reader, size);

	if (at != NULL)
		memcpy(number, at, size);
}

uint8_t
wire_get_u8(struct wire_reader *reader)
{
	uint8_t value = 0;

	get_wire_number(reader, &value, sizeof(value));
	return value;
}

uint32_t
wire_get_u32(struct wire_reader *reader)
{
	uint32_t value = 0;

	get_wire_number(reader, &value, sizeof(value));
	return le32toh(value);
}

uint64_t
wire_get_u64(struct wire_reader *reader)
{
	uint64_t value = 0;

	get_wire_number(reader, &value, sizeof(value));
	return le64toh(value);
}

struct uuid
wire_get_uuid(struct wire_reader *reader)
{
	struct uuid uuid = { { 0 } };
	const char *bytes = take_bytes(reader, UUID_BYTES);

	if (bytes != NULL)
		memcpy(uuid.bytes, bytes, UUID_BYTES);
	return uuid;
}

const char *
wire_get_bytes(struct wire_reader *reader, size_t *length_out)
{
	size_t length = wire_get_u32(reader);
	const char *at = take_bytes(reader, length);

	*length_out = at == NULL ? 0 : length;
	return at == NULL ? "" : at;
}

const char *
wire_get_text(struct wire_reader *reader)
{
	size_t length;
	const char *at = wire_get_bytes(reader, &length);

	if (length == 0 || memchr(at, '\0', length) != at + length - 1) {
		reader->has_failed = true;
		return "";
	}
	return at;
}

bool
wire_done(const struct wire_reader *reader)
{
	return !reader->has_failed && reader->left == 0;
}
