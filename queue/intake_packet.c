/* SPDX-License-Identifier: ISC */
/* The packets between a client with new mail and the intake socket. */
#include "queue/intake_packet.h"

#include "base/wire.h"

void
intake_put(struct buf *buf, const struct intake_packet *packet)
{
	wire_put_u8(buf, (uint8_t)packet->type);
	switch (packet->type) {
	case INTAKE_OPEN:
		wire_put_u32(buf, packet->version);
		break;
	case INTAKE_OPENED:
		wire_put_u64(buf, packet->id);
		break;
	case INTAKE_REFUSED:
		wire_put_u32(buf, packet->code);
		wire_put_text(buf, packet->text);
		break;
	case INTAKE_ENVELOPE:
		wire_put_bytes(buf, packet->piece, packet->piece_length);
		break;
	case INTAKE_COMMIT:
		wire_put_u64(buf, packet->size_bytes);
		wire_put_u64(buf, packet->qp);
		wire_put_u8(buf, packet->wants_next);
		wire_put_bytes(buf, packet->piece, packet->piece_length);
		break;
	case INTAKE_COMMITTED:
		wire_put_u64(buf, packet->id);
		wire_put_u32(buf, packet->code);
		wire_put_text(buf, packet->text);
		break;
	case INTAKE_ABORT:
		break;
	}
}

bool
intake_get(const void *data, size_t length, struct intake_packet *out)
{
	struct wire_reader reader;
	uint8_t wants_next;

	*out = (struct intake_packet){ .text = "", .piece = "" };
	wire_open(&reader, data, length);
	out->type = wire_get_u8(&reader);
	switch (out->type) {
	case INTAKE_OPEN:
		out->version = wire_get_u32(&reader);
		return wire_done(&reader);
	case INTAKE_OPENED:
		out->id = wire_get_u64(&reader);
		return wire_done(&reader);
	case INTAKE_REFUSED:
		out->code = wire_get_u32(&reader);
		out->text = wire_get_text(&reader);
		return wire_done(&reader);
	case INTAKE_ENVELOPE:
		out->piece = wire_get_bytes(&reader, &out->piece_length);
		return wire_done(&reader);
	case INTAKE_COMMIT:
		out->size_bytes = wire_get_u64(&reader);
		out->qp = wire_get_u64(&reader);
		wants_next = wire_get_u8(&reader);
		out->wants_next = wants_next == 1;
		out->piece = wire_get_bytes(&reader, &out->piece_length);
		return wire_done(&reader) && wants_next <= 1;
	case INTAKE_COMMITTED:
		out->id = wire_get_u64(&reader);
		out->code = wire_get_u32(&reader);
		out->text = wire_get_text(&reader);
		return wire_done(&reader);
	case INTAKE_ABORT:
		return wire_done(&reader);
	}
	return false;
}
