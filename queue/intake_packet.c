/* SPDX-License-Identifier: ISC */
/* The packets between a client with new mail and the intake socket. */
#include "queue/intake_packet.h"

#include "base/wire.h"

void
intake_put(struct buf *buf, const struct intake_packet *packet)
{
	wire_put_u8(buf, (uint8_t)packet->type);
	switch (packet->type) {
	case INTAKE_HELLO:
		wire_put_u32(buf, packet->version);
		break;
	case INTAKE_BODY:
		wire_put_bytes(buf, packet->body, packet->body_length);
		break;
	case INTAKE_ENVELOPE:
		wire_put_bytes(buf, packet->envelope, packet->envelope_length);
		break;
	case INTAKE_COMMIT:
		wire_put_uuid(buf, &packet->uuid);
		wire_put_u64(buf, packet->qp);
		wire_put_u64(buf, packet->size_bytes);
		wire_put_u8(buf, packet->is_import);
		wire_put_bytes(buf, packet->body, packet->body_length);
		wire_put_bytes(buf, packet->envelope, packet->envelope_length);
		break;
	case INTAKE_ASK:
		wire_put_uuid(buf, &packet->uuid);
		break;
	case INTAKE_ABORT:
		break;
	case INTAKE_ANSWER:
		wire_put_u64(buf, packet->id);
		wire_put_u32(buf, packet->code);
		wire_put_text(buf, packet->text);
		break;
	case INTAKE_OPERATE:
		wire_put_u8(buf, (uint8_t)packet->action);
		wire_put_u64(buf, packet->id);
		wire_put_text(buf, packet->lane);
		wire_put_text(buf, packet->text);
		break;
	}
}

/* On a message or a lane, which has fewer. */
static bool
is_operation(const struct intake_packet *packet)
{
	return packet->action >= INTAKE_HOLD &&
	    packet->action < INTAKE_ACTION_END &&
	    (packet->id == 0) == (packet->lane[0] != '\0') &&
	    (packet->id != 0 || packet->action <= INTAKE_RETRY);
}

bool
intake_get(const void *data, size_t length, struct intake_packet *out)
{
	struct wire_reader reader;
	uint8_t is_import;

	*out = (struct intake_packet){
		.text = "", .lane = "", .body = "", .envelope = ""
	};
	wire_open(&reader, data, length);
	out->type = wire_get_u8(&reader);
	switch (out->type) {
	case INTAKE_HELLO:
		out->version = wire_get_u32(&reader);
		return wire_done(&reader);
	case INTAKE_BODY:
		out->body = wire_get_bytes(&reader, &out->body_length);
		return wire_done(&reader);
	case INTAKE_ENVELOPE:
		out->envelope = wire_get_bytes(&reader, &out->envelope_length);
		return wire_done(&reader);
	case INTAKE_COMMIT:
		out->uuid = wire_get_uuid(&reader);
		out->qp = wire_get_u64(&reader);
		out->size_bytes = wire_get_u64(&reader);
		is_import = wire_get_u8(&reader);
		out->is_import = is_import == 1;
		out->body = wire_get_bytes(&reader, &out->body_length);
		out->envelope = wire_get_bytes(&reader, &out->envelope_length);
		return wire_done(&reader) && is_import <= 1 &&
		    !uuid_is_none(&out->uuid);
	case INTAKE_ASK:
		out->uuid = wire_get_uuid(&reader);
		return wire_done(&reader) && !uuid_is_none(&out->uuid);
	case INTAKE_ABORT:
		return wire_done(&reader);
	case INTAKE_ANSWER:
		out->id = wire_get_u64(&reader);
		out->code = wire_get_u32(&reader);
		out->text = wire_get_text(&reader);
		return wire_done(&reader);
	case INTAKE_OPERATE:
		out->action = wire_get_u8(&reader);
		out->id = wire_get_u64(&reader);
		out->lane = wire_get_text(&reader);
		out->text = wire_get_text(&reader);
		return wire_done(&reader) && is_operation(out);
	}
	return false;
}
