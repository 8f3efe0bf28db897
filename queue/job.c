/* SPDX-License-Identifier: ISC */
/* The packets between qmail-send and its delivery workers. */
#include "queue/job.h"

#include "base/wire.h"

/* What the packet holds behind its type; false when it is of another one. */
static bool
open_packet(struct wire_reader *reader, const void *data, size_t length,
    enum job_packet type)
{
	wire_open(reader, data, length);
	return wire_get_u8(reader) == type;
}

int
job_packet_type(const void *data, size_t length)
{
	int type = length == 0 ? 0 : *(const uint8_t *)data;

	switch ((enum job_packet)type) {
	case JOB_HELLO:
	case JOB_TAKE:
	case JOB_JOB:
	case JOB_RESULTS:
	case JOB_BACKOFF:
	case JOB_ASK:
	case JOB_ROOM:
	case JOB_WAKE:
		return type;
	}
	return 0;
}

void
job_put_hello(struct buf *buf, const struct job_hello *hello)
{
	wire_put_u8(buf, JOB_HELLO);
	wire_put_u32(buf, hello->version);
	wire_put_u8(buf, (uint8_t)hello->channel);
}

bool
job_get_hello(const void *data, size_t length, struct job_hello *out)
{
	struct wire_reader reader;

	if (!open_packet(&reader, data, length, JOB_HELLO))
		return false;
	out->version = wire_get_u32(&reader);
	out->channel = wire_get_u8(&reader);
	if (!wire_done(&reader))
		return false;
	switch (out->channel) {
	case JOB_VIRTUAL:
	case JOB_LOCAL:
	case JOB_REMOTE:
		return true;
	}
	return false;
}

void
job_put_take(struct buf *buf, const struct job_take *take)
{
	wire_put_u8(buf, JOB_TAKE);
	wire_put_u32(buf, take->recipients);
	wire_put_u64(buf, take->bytes);
	wire_put_u8(buf, take->by_sender);
}

bool
job_get_take(const void *data, size_t length, struct job_take *out)
{
	struct wire_reader reader;
	uint8_t by_sender;

	if (!open_packet(&reader, data, length, JOB_TAKE))
		return false;
	out->recipients = wire_get_u32(&reader);
	out->bytes = wire_get_u64(&reader);
	by_sender = wire_get_u8(&reader);
	out->by_sender = by_sender == 1;
	return by_sender <= 1 && wire_done(&reader);
}

void
job_put_backoff(struct buf *buf, const struct job_backoff *backoff)
{
	wire_put_u8(buf, JOB_BACKOFF);
	wire_put_text(buf, backoff->lane);
	wire_put_u32(buf, backoff->seconds);
	wire_put_text(buf, backoff->reason);
}

bool
job_get_backoff(const void *data, size_t length, struct job_backoff *out)
{
	struct wire_reader reader;

	if (!open_packet(&reader, data, length, JOB_BACKOFF))
		return false;
	out->lane = wire_get_text(&reader);
	out->seconds = wire_get_u32(&reader);
	out->reason = wire_get_text(&reader);
	return wire_done(&reader);
}

void
job_put_ask(struct buf *buf, const char *lane, enum job_wish wish)
{
	wire_put_u8(buf, JOB_ASK);
	wire_put_text(buf, lane);
	wire_put_u8(buf, (uint8_t)wish);
}

bool
job_get_ask(const void *data, size_t length, const char **lane_out,
    enum job_wish *wish_out)
{
	struct wire_reader reader;

	if (!open_packet(&reader, data, length, JOB_ASK))
		return false;
	*lane_out = wire_get_text(&reader);
	*wish_out = wire_get_u8(&reader);
	return *wish_out <= JOB_WISH_ANYWAY && wire_done(&reader);
}

void
job_put_room(struct buf *buf, const struct job_room *room)
{
	wire_put_u8(buf, JOB_ROOM);
	wire_put_text(buf, room->lane);
	wire_put_u32(buf, room->jobs);
}

bool
job_get_room(const void *data, size_t length, struct job_room *out)
{
	struct wire_reader reader;

	if (!open_packet(&reader, data, length, JOB_ROOM))
		return false;
	out->lane = wire_get_text(&reader);
	out->jobs = wire_get_u32(&reader);
	return wire_done(&reader);
}

void
job_put_wake(struct buf *buf, const char *domain)
{
	wire_put_u8(buf, JOB_WAKE);
	wire_put_text(buf, domain);
}

bool
job_get_wake(const void *data, size_t length, const char **domain_out)
{
	struct wire_reader reader;

	if (!open_packet(&reader, data, length, JOB_WAKE))
		return false;
	*domain_out = wire_get_text(&reader);
	return wire_done(&reader);
}

static void
put_job_recipient(struct buf *buf, const struct job_recipient *recipient)
{
	wire_put_u32(buf, recipient->delivery);
	wire_put_text(buf, recipient->recipient);
	wire_put_text(buf, recipient->user);
	wire_put_text(buf, recipient->home);
	wire_put_text(buf, recipient->dash);
	wire_put_text(buf, recipient->extension);
	wire_put_text(buf, recipient->dsn);
}

void
job_put(struct buf *buf, const struct job *job)
{
	wire_put_u8(buf, JOB_JOB);
	wire_put_u64(buf, job->message_id);
	buf_add(buf, job->uuid.bytes, UUID_BYTES);
	wire_put_text(buf, job->lane);
	wire_put_u64(buf, (uint64_t)job->birth_s);
	wire_put_u32(buf, job->attempt);
	wire_put_u64(buf, job->size_bytes);
	wire_put_text(buf, job->sender);
	wire_put_text(buf, job->header);
	wire_put_text(buf, job->dsn);
	wire_put_u8(buf, job->needs_tls);
	wire_put_u32(buf, (uint32_t)job->recipient_count);
	for (size_t i = 0; i < job->recipient_count; i++)
		put_job_recipient(buf, &job->recipients[i]);
	wire_put_u8(buf, job->body != NULL);
	if (job->body != NULL)
		wire_put_bytes(buf, job->body, job->size_bytes);
}

static void
get_uuid(struct wire_reader *reader, struct uuid *uuid_out)
{
	int i;

	for (i = 0; i < UUID_BYTES; i++)
		uuid_out->bytes[i] = wire_get_u8(reader);
}

static void
get_recipient(struct wire_reader *reader, struct job_recipient *out)
{
	out->delivery = wire_get_u32(reader);
	out->recipient = wire_get_text(reader);
	out->user = wire_get_text(reader);
	out->home = wire_get_text(reader);
	out->dash = wire_get_text(reader);
	out->extension = wire_get_text(reader);
	out->dsn = wire_get_text(reader);
}

/* The body, or that there is none; false when it is not one. */
static bool
get_body(struct wire_reader *reader, struct job *out)
{
	uint8_t has_body = wire_get_u8(reader);
	size_t length;

	out->body = NULL;
	if (has_body == 0)
		return true;
	out->body = wire_get_bytes(reader, &length);
	return has_body == 1 && length == out->size_bytes &&
	    length <= JOB_BODY_MAX;
}

bool
job_get(const void *data, size_t length,
    struct job_recipient recipients_out[JOB_RECIPIENTS_MAX], struct job *out)
{
	struct wire_reader reader;
	uint8_t needs_tls;

	if (!open_packet(&reader, data, length, JOB_JOB))
		return false;
	out->message_id = wire_get_u64(&reader);
	get_uuid(&reader, &out->uuid);
	out->lane = wire_get_text(&reader);
	out->birth_s = (int64_t)wire_get_u64(&reader);
	out->attempt = wire_get_u32(&reader);
	out->size_bytes = wire_get_u64(&reader);
	out->sender = wire_get_text(&reader);
	out->header = wire_get_text(&reader);
	out->dsn = wire_get_text(&reader);
	needs_tls = wire_get_u8(&reader);
	out->needs_tls = needs_tls == 1;
	out->recipients = recipients_out;
	out->recipient_count = wire_get_u32(&reader);
	if (needs_tls > 1 || out->recipient_count == 0 ||
	    out->recipient_count > JOB_RECIPIENTS_MAX)
		return false;
	for (size_t i = 0; i < out->recipient_count; i++)
		get_recipient(&reader, &recipients_out[i]);
	return get_body(&reader, out) && wire_done(&reader);
}

void
job_put_result(struct buf *buf, const struct job_result *result)
{
	if (buf->length == 0)
		wire_put_u8(buf, JOB_RESULTS);
	wire_put_u32(buf, result->delivery);
	wire_put_u8(buf, (uint8_t)result->outcome);
	wire_put_u8(buf, result->is_dsn_passed);
	wire_put_text(buf, result->text);
}

bool
job_open_results(const char **data, size_t *length)
{
	struct wire_reader reader;

	if (!open_packet(&reader, *data, *length, JOB_RESULTS))
		return false;
	*data = reader.at;
	*length = reader.left;
	return true;
}

bool
job_take_result(const char **data, size_t *length, struct job_result *out)
{
	struct wire_reader reader;
	uint8_t is_dsn_passed;

	wire_open(&reader, *data, *length);
	out->delivery = wire_get_u32(&reader);
	out->outcome = wire_get_u8(&reader);
	is_dsn_passed = wire_get_u8(&reader);
	out->is_dsn_passed = is_dsn_passed == 1;
	out->text = wire_get_text(&reader);
	if (reader.has_failed || is_dsn_passed > 1)
		return false;
	switch (out->outcome) {
	case JOB_DELIVERED:
	case JOB_TEMPFAIL:
	case JOB_PERMFAIL:
	case JOB_GENERAL:
		*data = reader.at;
		*length = reader.left;
		return true;
	}
	return false;
}
