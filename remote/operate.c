/* SPDX-License-Identifier: ISC */
/* The packets between operators and qmail-rspawn. */
#include "remote/operate.h"

#include "base/wire.h"

int
operate_packet_type(const void *data, size_t length)
{
	int type = length == 0 ? 0 : *(const uint8_t *)data;

	switch ((enum operate_packet)type) {
	case OPERATE_REQUEST:
	case OPERATE_DESTINATION:
	case OPERATE_END:
		return type;
	}
	return 0;
}

const char *
operate_state_name(enum operate_state state)
{
	static const char *const names[] = { [OPERATE_OPEN] = "open",
		[OPERATE_CONNECTING] = "connecting",
		[OPERATE_RESTING] = "resting",
		[OPERATE_IDLE] = "idle",
		[OPERATE_RESOLVING] = "resolving",
		[OPERATE_UNKNOWN] = "unknown",
		[OPERATE_NO_MAIL] = "takes no mail",
		[OPERATE_SUSPENDED] = "suspended" };

	return names[state];
}

static bool
open_operation(struct wire_reader *reader, const void *data, size_t length,
    enum operate_packet type)
{
	wire_open(reader, data, length);
	return wire_get_u8(reader) == type;
}

void
operate_put_request(struct buf *buf, const struct operate_request *request)
{
	wire_put_u8(buf, OPERATE_REQUEST);
	wire_put_u8(buf, (uint8_t)request->action);
	wire_put_text(buf, request->domain);
}

bool
operate_get_request(
    const void *data, size_t length, struct operate_request *out)
{
	struct wire_reader reader;

	if (!open_operation(&reader, data, length, OPERATE_REQUEST))
		return false;
	out->action = wire_get_u8(&reader);
	out->domain = wire_get_text(&reader);
	return wire_done(&reader) && out->action >= OPERATE_LIST &&
	    out->action < OPERATE_ACTION_END;
}

void
operate_put_end(struct buf *buf, const struct operate_end *end)
{
	wire_put_u8(buf, OPERATE_END);
	wire_put_u8(buf, (uint8_t)end->code);
	wire_put_text(buf, end->text);
}

bool
operate_get_end(const void *data, size_t length, struct operate_end *out)
{
	struct wire_reader reader;

	if (!open_operation(&reader, data, length, OPERATE_END))
		return false;
	out->code = wire_get_u8(&reader);
	out->text = wire_get_text(&reader);
	return wire_done(&reader) && out->code < OPERATE_CODE_END;
}

enum {
	FLAG_RETIRED = 1,
	FLAG_MORE_DOMAINS = 2,
	FLAG_MORE_ADDRESSES = 4,
	FLAGS = 7
};

/* The numbers, in the order of the packet. */
enum { NUMBERS = 13, COUNTS = 4 };

static void
list_numbers(struct operate_destination *of, uint32_t *numbers[NUMBERS],
    uint64_t *counts[COUNTS])
{
	uint32_t *const all[NUMBERS] = { &of->lanes, &of->waiting, &of->window,
		&of->connections, &of->opening, &of->busy, &of->capped_s,
		&of->rate, &of->rate_s, &of->rests_s, &of->known_s, &of->limit,
		&of->rate_limit };
	uint64_t *const counted[COUNTS] = { &of->messages, &of->delivered,
		&of->deferred, &of->failed };

	for (int i = 0; i < NUMBERS; i++)
		numbers[i] = all[i];
	for (int i = 0; i < COUNTS; i++)
		counts[i] = counted[i];
}

void
operate_put_destination(
    struct buf *buf, const struct operate_destination *destination)
{
	struct operate_destination copy = *destination;
	uint32_t *numbers[NUMBERS];
	uint64_t *counts[COUNTS];
	size_t i;

	list_numbers(&copy, numbers, counts);
	wire_put_u8(buf, OPERATE_DESTINATION);
	wire_put_u8(buf, (uint8_t)copy.state);
	wire_put_u8(buf,
	    (uint8_t)((copy.is_retired ? FLAG_RETIRED : 0) |
		(copy.has_more_domains ? FLAG_MORE_DOMAINS : 0) |
		(copy.has_more_addresses ? FLAG_MORE_ADDRESSES : 0)));
	for (i = 0; i < NUMBERS; i++)
		wire_put_u32(buf, *numbers[i]);
	for (i = 0; i < COUNTS; i++)
		wire_put_u64(buf, *counts[i]);
	wire_put_text(buf, copy.reason);
	wire_put_text(buf, copy.reply);
	wire_put_text(buf, copy.tls);
	wire_put_u32(buf, (uint32_t)copy.domain_count);
	for (i = 0; i < copy.domain_count; i++)
		wire_put_text(buf, copy.domains[i]);
	wire_put_u32(buf, (uint32_t)copy.address_count);
	for (i = 0; i < copy.address_count; i++) {
		wire_put_text(buf, copy.addresses[i].host);
		wire_put_text(buf, copy.addresses[i].ip);
		wire_put_u32(buf, copy.addresses[i].port);
		wire_put_u32(buf, copy.addresses[i].failures);
		wire_put_u32(buf, copy.addresses[i].rests_s);
	}
}

static void
get_address(struct wire_reader *reader, struct operate_address *out)
{
	out->host = wire_get_text(reader);
	out->ip = wire_get_text(reader);
	out->port = wire_get_u32(reader);
	out->failures = wire_get_u32(reader);
	out->rests_s = wire_get_u32(reader);
}

bool
operate_get_destination(
    const void *data, size_t length, struct operate_destination *out)
{
	struct wire_reader reader;
	uint32_t *numbers[NUMBERS];
	uint64_t *counts[COUNTS];
	uint8_t flags;
	size_t i;

	if (!open_operation(&reader, data, length, OPERATE_DESTINATION))
		return false;
	list_numbers(out, numbers, counts);
	out->state = wire_get_u8(&reader);
	flags = wire_get_u8(&reader);
	out->is_retired = (flags & FLAG_RETIRED) != 0;
	out->has_more_domains = (flags & FLAG_MORE_DOMAINS) != 0;
	out->has_more_addresses = (flags & FLAG_MORE_ADDRESSES) != 0;
	for (i = 0; i < NUMBERS; i++)
		*numbers[i] = wire_get_u32(&reader);
	for (i = 0; i < COUNTS; i++)
		*counts[i] = wire_get_u64(&reader);
	out->reason = wire_get_text(&reader);
	out->reply = wire_get_text(&reader);
	out->tls = wire_get_text(&reader);
	out->domain_count = wire_get_u32(&reader);
	if (out->domain_count > OPERATE_DOMAINS_MAX)
		return false;
	for (i = 0; i < out->domain_count; i++)
		out->domains[i] = wire_get_text(&reader);
	out->address_count = wire_get_u32(&reader);
	if (out->address_count > OPERATE_ADDRESSES_MAX)
		return false;
	for (i = 0; i < out->address_count; i++)
		get_address(&reader, &out->addresses[i]);
	return wire_done(&reader) && flags <= FLAGS &&
	    out->state >= OPERATE_OPEN && out->state < OPERATE_STATE_END;
}
