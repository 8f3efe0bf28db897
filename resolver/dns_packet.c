/* SPDX-License-Identifier: ISC */
/* The packets between resolverd and those who ask it. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/wire.h"
#include "resolver/dns.h"

enum { FLAG_SECURE = 1, FLAG_NO_NAME = 2 };

void
dns_answer_release(struct dns_answer *answer)
{
	free(answer->records);
	buf_release(&answer->storage);
	*answer = (struct dns_answer){ 0 };
}

void
dns_answer_unknown(struct dns_answer *answer, const char *reason)
{
	*answer = (struct dns_answer){ .state = DNS_UNKNOWN, .name = "" };
	buf_init(&answer->storage);
	buf_add(&answer->storage, reason, strlen(reason) + 1);
	answer->reason = answer->storage.data;
}

static bool
is_known_type(uint32_t number)
{
	switch ((enum dns_type)number) {
	case DNS_A:
	case DNS_PTR:
	case DNS_MX:
	case DNS_TXT:
	case DNS_AAAA:
	case DNS_TLSA:
		return true;
	}
	return false;
}

void
dns_put_query(struct buf *buf, const struct dns_query *query)
{
	wire_put_u8(buf, DNS_VERSION);
	wire_put_u32(buf, query->id);
	wire_put_u32(buf, query->type);
	wire_put_text(buf, query->name);
}

bool
dns_get_query(const void *data, size_t length, struct dns_query *query_out)
{
	struct wire_reader reader;
	uint32_t type;
	uint8_t version;

	wire_open(&reader, data, length);
	version = wire_get_u8(&reader);
	query_out->id = wire_get_u32(&reader);
	type = wire_get_u32(&reader);
	query_out->type = (enum dns_type)type;
	query_out->name = wire_get_text(&reader);
	return wire_done(&reader) && version == DNS_VERSION &&
	    is_known_type(type) && query_out->name[0] != '\0';
}

void
dns_put_answer(struct buf *buf, uint32_t id, const struct dns_answer *answer)
{
	size_t i;

	wire_put_u8(buf, DNS_VERSION);
	wire_put_u32(buf, id);
	wire_put_u8(buf, (uint8_t)answer->state);
	wire_put_u8(buf,
	    (answer->is_secure ? FLAG_SECURE : 0) |
		(answer->is_no_name ? FLAG_NO_NAME : 0));
	wire_put_u32(buf, answer->ttl_s);
	wire_put_text(buf, answer->name);
	wire_put_text(buf, answer->reason);
	wire_put_u32(buf, (uint32_t)answer->record_count);
	for (i = 0; i < answer->record_count; i++)
		wire_put_bytes(
		    buf, answer->records[i].data, answer->records[i].length);
}

/* What the packet says; its texts and records point into it. */
static bool
read_answer(
    struct wire_reader *reader, uint32_t *id_out, struct dns_answer *answer)
{
	uint8_t version = wire_get_u8(reader), state, flags;
	size_t i;

	*id_out = wire_get_u32(reader);
	state = wire_get_u8(reader);
	flags = wire_get_u8(reader);
	answer->state = (enum dns_state)state;
	answer->is_secure = (flags & FLAG_SECURE) != 0;
	answer->is_no_name = (flags & FLAG_NO_NAME) != 0;
	answer->ttl_s = wire_get_u32(reader);
	answer->name = wire_get_text(reader);
	answer->reason = wire_get_text(reader);
	answer->record_count = wire_get_u32(reader);
	if (version != DNS_VERSION || state < DNS_FOUND ||
	    state > DNS_UNKNOWN || answer->record_count > DNS_RECORDS_MAX)
		return false;
	answer->records = xcalloc(
	    answer->record_count + 1, sizeof(*answer->records));
	for (i = 0; i < answer->record_count; i++)
		answer->records[i].data = (const unsigned char *)wire_get_bytes(
		    reader, &answer->records[i].length);
	return wire_done(reader) &&
	    (state == DNS_FOUND) == (answer->record_count > 0);
}

bool
dns_get_answer(const void *data, size_t length, uint32_t *id_out,
    struct dns_answer *answer_out)
{
	struct dns_answer answer = { 0 };
	struct wire_reader reader;

	buf_init(&answer.storage);
	buf_add(&answer.storage, data, length);
	wire_open(&reader, answer.storage.data, length);
	if (!read_answer(&reader, id_out, &answer)) {
		dns_answer_release(&answer);
		return false;
	}
	*answer_out = answer;
	return true;
}
