/* SPDX-License-Identifier: ISC */
/*
 * A packet of another process, read field by field as the input's first half
 * says; what was read whole is written again and must be the same bytes.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum field { U8, U32, U64, BYTES, TEXT, FIELDS };

static void
copy_field(enum field field, struct wire_reader *reader, struct buf *copy)
{
	const char *bytes;
	size_t length;

	switch (field) {
	case U8:
		wire_put_u8(copy, wire_get_u8(reader));
		break;
	case U32:
		wire_put_u32(copy, wire_get_u32(reader));
		break;
	case U64:
		wire_put_u64(copy, wire_get_u64(reader));
		break;
	case BYTES:
		bytes = wire_get_bytes(reader, &length);
		wire_put_bytes(copy, bytes, length);
		break;
	case TEXT:
	case FIELDS:
		wire_put_text(copy, wire_get_text(reader));
		break;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t fields, i;
	struct wire_reader reader;
	struct buf copy = BUF_INIT;

	if (size == 0 || size - 1 < data[0])
		return 0;
	fields = data[0];
	wire_open(&reader, data + 1 + fields, size - 1 - fields);
	buf_init(&copy);
	for (i = 0; i < fields; i++)
		copy_field(data[1 + i] % FIELDS, &reader, &copy);
	if (wire_done(&reader)) {
		assert(copy.length == size - 1 - fields);
		assert(memcmp(copy.data, data + 1 + fields, copy.length) == 0);
	}
	buf_release(&copy);
	return 0;
}
