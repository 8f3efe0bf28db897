/* SPDX-License-Identifier: ISC */
/*
 * The fields of a packet between our own processes: numbers in little-endian
 * order, strings with their length in front.  docs/protocol.md has the packets.
 *
 * A reader never reads past the end: after the first field that is not there
 * it has failed, and gives zeros and empty strings from then on, so a whole
 * packet is read first and checked once (wire_done).
 */
#ifndef BASE_WIRE_H
#define BASE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/uuid.h"

void wire_put_u8(struct buf *buf, uint8_t value);
void wire_put_u32(struct buf *buf, uint32_t value);
void wire_put_u64(struct buf *buf, uint64_t value);
void wire_put_bytes(struct buf *buf, const void *data, size_t length);
void wire_put_text(struct buf *buf, const char *text);
void wire_put_uuid(struct buf *buf, const struct uuid *uuid);

struct wire_reader {
	const char *at;
	size_t left;
	bool has_failed;
};

void wire_open(struct wire_reader *reader, const void *data, size_t length);
uint8_t wire_get_u8(struct wire_reader *reader);
uint32_t wire_get_u32(struct wire_reader *reader);
uint64_t wire_get_u64(struct wire_reader *reader);

struct uuid wire_get_uuid(struct wire_reader *reader);
/* The bytes stay in the packet: valid as long as it is. */
const char *wire_get_bytes(struct wire_reader *reader, size_t *length_out);

/*
 * A text without NUL bytes (one with them is a failure), '\0' at its end
 * because wire_put_text sent it so.
 */
const char *wire_get_text(struct wire_reader *reader);

/* True when everything was there and nothing is left over. */
bool wire_done(const struct wire_reader *reader);

#endif
