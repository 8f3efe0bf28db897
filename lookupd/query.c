/* SPDX-License-Identifier: ISC */
/* Questions to lookupd, answers, and the records in them. */
#include "lookupd/query.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/packet.h"

enum {
	ANSWER_BYTES = 1 + 1 + 8 + 4, /* what stands before a record */
	HEAD_BYTES = 1 + 4 + 4 + 4 + 4,
	FILTERS_MAX = 10000
};

_Static_assert(QUERY_RECORD_MAX + HEAD_BYTES + ANSWER_BYTES <= PACKET_MAX,
    "a packet has room for any answer");

/* The end of the year 9999: later ones are no time of the database. */
static const uint64_t TIME_MAX_S = UINT64_C(253402300799);

static const struct {
	const char *name;
	bool is_kept;
} kinds[QUERY_KIND_COUNT] = {
	[QUERY_USER] = { "user", true },
	[QUERY_PASSWORD] = { "password", true },
	[QUERY_ALIAS] = { "alias", true },
	[QUERY_LIMITS] = { "limits", true },
	[QUERY_FILTERS] = { "filters", true },
	[QUERY_DOMAIN] = { "domain", true },
	[QUERY_RELAY] = { "relay", false },
	[QUERY_LOGIN] = { "login", false },
	[QUERY_STATS] = { "stats", false },
	[QUERY_PLACE] = { "place", true },
};

const char *
query_kind_name(enum query_kind kind)
{
	return kinds[kind].name;
}

bool
query_kind_find(const char *name, enum query_kind *kind_out)
{
	for (unsigned kind = 1; kind < QUERY_KIND_COUNT; kind++)
		if (strcmp(kinds[kind].name, name) == 0) {
			*kind_out = (enum query_kind)kind;
			return true;
		}
	return false;
}

bool
query_kind_is_kept(enum query_kind kind)
{
	return kinds[kind].is_kept;
}

const char *
query_source_name(enum query_source source)
{
	static const char *const names[QUERY_SOURCE_COUNT] = {
		[QUERY_FROM_NOWHERE] = "nowhere",
		[QUERY_FROM_CACHE] = "cache",
		[QUERY_FROM_DATABASE] = "database",
		[QUERY_FROM_SNAPSHOT] = "snapshot",
		[QUERY_FROM_SPOOL] = "spool",
	};

	return names[source];
}

static void
put_query(struct buf *buf, const struct query *query)
{
	wire_put_u8(buf, (uint8_t)query->kind);
	wire_put_text(buf, query->local);
	wire_put_text(buf, query->domain);
	if (query->kind == QUERY_RELAY || query->kind == QUERY_LOGIN) {
		wire_put_text(buf, query->ip);
		wire_put_u64(buf, query->number);
	}
	if (query->kind == QUERY_LOGIN) {
		wire_put_text(buf, query->service);
		wire_put_u8(buf, query->opens_relay);
	}
}

void
query_put_request(struct buf *buf, const struct query_request *request)
{
	wire_put_u8(buf, QUERY_VERSION);
	wire_put_u32(buf, request->id);
	wire_put_u64(buf, request->deadline_ms);
	wire_put_u32(buf, (uint32_t)request->count);
	for (size_t i = 0; i < request->count; i++)
		put_query(buf, &request->queries[i]);
}

static bool
has_control(const char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < ' ' || *text == 127)
			return true;
	return false;
}

bool
query_is_sound(const struct query *query)
{
	if (strlen(query->local) > STORE_LOCAL_MAX ||
	    strlen(query->domain) > STORE_DOMAIN_MAX)
		return false;
	if (query->kind != QUERY_RELAY && query->kind != QUERY_LOGIN)
		return true;
	if (!store_is_ip(query->ip) || query->number > TIME_MAX_S)
		return false;
	return query->kind == QUERY_RELAY ||
	    (store_is_service(query->service) && !has_control(query->local) &&
		!has_control(query->domain));
}

static bool
get_query(struct wire_reader *reader, struct query *query)
{
	uint8_t kind = wire_get_u8(reader);

	if (kind == 0 || kind >= QUERY_KIND_COUNT)
		return false;
	*query = (struct query){ .kind = (enum query_kind)kind,
		.local = wire_get_text(reader),
		.domain = wire_get_text(reader),
		.ip = "",
		.service = "" };
	if (kind == QUERY_RELAY || kind == QUERY_LOGIN) {
		query->ip = wire_get_text(reader);
		query->number = wire_get_u64(reader);
	}
	if (kind == QUERY_LOGIN) {
		query->service = wire_get_text(reader);
		query->opens_relay = wire_get_u8(reader) != 0;
	}
	return !reader->has_failed && query_is_sound(query);
}

bool
query_get_request(
    const void *data, size_t length, struct query_request *request_out)
{
	struct wire_reader reader;
	uint8_t version;

	wire_open(&reader, data, length);
	version = wire_get_u8(&reader);
	request_out->id = wire_get_u32(&reader);
	request_out->deadline_ms = wire_get_u64(&reader);
	request_out->count = wire_get_u32(&reader);
	if (version != QUERY_VERSION || request_out->count == 0 ||
	    request_out->count > QUERY_COUNT_MAX)
		return false;
	for (size_t i = 0; i < request_out->count; i++)
		if (!get_query(&reader, &request_out->queries[i]))
			return false;
	return wire_done(&reader);
}

size_t
query_put_answers(struct buf *buf, uint32_t id, size_t first,
    const struct query_answer *answers, size_t total)
{
	size_t bytes = HEAD_BYTES, count = 0;

	while (first + count < total && count < QUERY_COUNT_MAX) {
		const struct query_answer *answer = &answers[first + count];

		assert(answer->length <= QUERY_RECORD_MAX);
		bytes += ANSWER_BYTES + answer->length;
		if (bytes > PACKET_MAX)
			break;
		count++;
	}
	buf_reserve(buf, bytes);
	wire_put_u8(buf, QUERY_VERSION);
	wire_put_u32(buf, id);
	wire_put_u32(buf, (uint32_t)first);
	wire_put_u32(buf, (uint32_t)total);
	wire_put_u32(buf, (uint32_t)count);
	for (size_t i = first; i < first + count; i++) {
		wire_put_u8(buf, (uint8_t)answers[i].state);
		wire_put_u8(buf, (uint8_t)answers[i].source);
		wire_put_u64(buf, answers[i].age_ms);
		wire_put_bytes(buf, answers[i].record, answers[i].length);
	}
	return count;
}

bool
query_get_answers(
    const void *data, size_t length, struct query_answers *answers_out)
{
	struct wire_reader reader;
	uint8_t version;

	wire_open(&reader, data, length);
	version = wire_get_u8(&reader);
	answers_out->id = wire_get_u32(&reader);
	answers_out->first = wire_get_u32(&reader);
	answers_out->total = wire_get_u32(&reader);
	answers_out->count = wire_get_u32(&reader);
	if (version != QUERY_VERSION || answers_out->count == 0 ||
	    answers_out->total > QUERY_COUNT_MAX ||
	    answers_out->first >= answers_out->total ||
	    answers_out->count > answers_out->total - answers_out->first)
		return false;
	for (size_t i = 0; i < answers_out->count; i++) {
		struct query_answer *answer = &answers_out->answers[i];
		uint8_t state = wire_get_u8(&reader);
		uint8_t source = wire_get_u8(&reader);

		if (state < QUERY_FOUND || state > QUERY_UNKNOWN ||
		    source >= QUERY_SOURCE_COUNT)
			return false;
		answer->state = (enum query_state)state;
		answer->source = (enum query_source)source;
		answer->age_ms = wire_get_u64(&reader);
		answer->record = wire_get_bytes(&reader, &answer->length);
	}
	return wire_done(&reader);
}

enum { PLACE_MOVING = 1, PLACE_MANY_SERVED = 2 };

static void
put_place(struct buf *buf, const struct query_place *place)
{
	wire_put_text(buf, place->store);
	wire_put_text(buf, place->node);
	wire_put_u64(buf, place->epoch);
	wire_put_u8(buf,
	    (uint8_t)((place->is_moving ? PLACE_MOVING : 0) |
		(place->is_many_served ? PLACE_MANY_SERVED : 0)));
}

static void
get_place(struct wire_reader *reader, struct query_place *place)
{
	uint8_t flags;

	place->store = wire_get_text(reader);
	place->node = wire_get_text(reader);
	place->epoch = wire_get_u64(reader);
	flags = wire_get_u8(reader);
	place->is_moving = (flags & PLACE_MOVING) != 0;
	place->is_many_served = (flags & PLACE_MANY_SERVED) != 0;
}

void
query_put_place(struct buf *buf, const struct query_place *place)
{
	put_place(buf, place);
}

bool
query_get_place(const void *data, size_t length, struct query_place *place_out)
{
	struct wire_reader reader;

	wire_open(&reader, data, length);
	get_place(&reader, place_out);
	return wire_done(&reader);
}

/*
 * In the uid flags of a record; older ones are without them.  PLACED: his place
 * is behind the other texts.
 */
static const uint32_t NO_FILTERS = 0x80000000, PLACED = 0x40000000;

static void
put_user(struct buf *buf, const struct query_user *user)
{
	wire_put_u32(buf, user->flags);
	wire_put_u32(buf,
	    user->uid_flags | (user->has_no_filters ? NO_FILTERS : 0) |
		(user->place.store != NULL ? PLACED : 0));
	wire_put_text(buf, user->dir);
	wire_put_text(buf, user->quota);
	if (user->place.store != NULL)
		put_place(buf, &user->place);
}

static void
get_user(struct wire_reader *reader, struct query_user *user)
{
	bool is_placed;

	user->flags = wire_get_u32(reader);
	user->uid_flags = wire_get_u32(reader);
	user->has_no_filters = (user->uid_flags & NO_FILTERS) != 0;
	is_placed = (user->uid_flags & PLACED) != 0;
	user->uid_flags &= ~(NO_FILTERS | PLACED);
	user->dir = wire_get_text(reader);
	user->quota = wire_get_text(reader);
	user->place = (struct query_place){ .store = NULL };
	if (is_placed)
		get_place(reader, &user->place);
}

void
query_put_user(struct buf *buf, const struct query_user *user)
{
	put_user(buf, user);
}

bool
query_get_user(const void *data, size_t length, struct query_user *user_out)
{
	struct wire_reader reader;

	wire_open(&reader, data, length);
	get_user(&reader, user_out);
	return wire_done(&reader) && *user_out->dir == '/';
}

void
query_put_password(struct buf *buf, const struct query_password *password)
{
	put_user(buf, &password->user);
	wire_put_u32(buf, password->limits_flags);
	wire_put_text(buf, password->hash);
	wire_put_text(buf, password->scram);
	wire_put_text(buf, password->secret);
	wire_put_text(buf, password->gecos);
}

bool
query_get_password(
    const void *data, size_t length, struct query_password *password_out)
{
	struct wire_reader reader;

	wire_open(&reader, data, length);
	get_user(&reader, &password_out->user);
	password_out->limits_flags = wire_get_u32(&reader);
	password_out->hash = wire_get_text(&reader);
	password_out->scram = wire_get_text(&reader);
	password_out->secret = wire_get_text(&reader);
	password_out->gecos = wire_get_text(&reader);
	return wire_done(&reader) && *password_out->user.dir == '/';
}

bool
query_get_alias(const void *data, size_t length, struct store_alias *alias_out)
{
	const char *at = data, *end = at + length;

	if (length == 0 || end[-1] != '\0')
		return false;
	for (; at < end; at += strlen(at) + 1)
		strlist_add(&alias_out->lines, at);
	return true;
}

void
query_put_limits(struct buf *buf, const struct store_limits *limits)
{
	for (unsigned i = 0; i < STORE_LIMIT_COUNT; i++)
		if (limits->has[i]) {
			wire_put_u8(buf, (uint8_t)i);
			wire_put_u64(buf, (uint64_t)limits->values[i]);
		}
}

bool
query_get_limits(
    const void *data, size_t length, struct store_limits *limits_out)
{
	struct wire_reader reader;

	*limits_out = (struct store_limits){ .values = { 0 } };
	wire_open(&reader, data, length);
	while (reader.left > 0 && !reader.has_failed) {
		uint8_t i = wire_get_u8(&reader);
		uint64_t value = wire_get_u64(&reader);

		if (reader.has_failed || i >= STORE_LIMIT_COUNT)
			return false;
		limits_out->values[i] = (int64_t)value;
		limits_out->has[i] = true;
	}
	return wire_done(&reader);
}

void
query_put_filter(struct buf *buf, const struct store_filter *filter)
{
	wire_put_u32(buf, (uint32_t)filter->number);
	wire_put_u32(buf, (uint32_t)filter->header);
	wire_put_u32(buf, (uint32_t)filter->comparison);
	wire_put_text(buf, filter->name);
	wire_put_text(buf, filter->keyword);
	wire_put_text(buf, filter->destination);
	wire_put_text(buf, filter->bounce_action);
}

bool
query_get_filters(
    const void *data, size_t length, struct store_filters *filters_out)
{
	struct wire_reader reader;
	size_t room = 0;

	*filters_out = (struct store_filters){ .storage = BUF_INIT };
	buf_add(&filters_out->storage, data, length);
	wire_open(&reader, filters_out->storage.data, length);
	while (reader.left > 0 && !reader.has_failed &&
	    filters_out->count < FILTERS_MAX) {
		struct store_filter *filter;

		if (filters_out->count == room) {
			room = room == 0 ? 8 : room * 2;
			filters_out->items = xrealloc(filters_out->items,
			    room * sizeof(*filters_out->items));
		}
		filter = &filters_out->items[filters_out->count++];
		filter->number = (int)wire_get_u32(&reader);
		filter->header = (int)wire_get_u32(&reader);
		filter->comparison = (int)wire_get_u32(&reader);
		filter->name = wire_get_text(&reader);
		filter->keyword = wire_get_text(&reader);
		filter->destination = wire_get_text(&reader);
		filter->bounce_action = wire_get_text(&reader);
	}
	return wire_done(&reader) && filters_out->count > 0;
}

const char *
query_get_domain(const void *data, size_t length)
{
	return length > 1 && strnlen(data, length) == length - 1 ? data : NULL;
}
