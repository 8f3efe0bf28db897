/* SPDX-License-Identifier: ISC */
/* The packets between qmail-send and its delivery workers. */
#include "queue/job.h"

#include "base/wire.h"

enum packet_type { PACKET_HELLO = 1, PACKET_JOB = 2, PACKET_RESULT = 3 };

void
job_put_hello(struct buf *buf, const struct job_hello *hello)
{
	wire_put_u8(buf, PACKET_HELLO);
	wire_put_u32(buf, hello->version);
	wire_put_u8(buf, (uint8_t)hello->channel);
}

bool
job_get_hello(const void *data, size_t length, struct job_hello *out)
{
	struct wire_reader reader;
	uint8_t type;

	wire_open(&reader, data, length);
	type = wire_get_u8(&reader);
	out->version = wire_get_u32(&reader);
	out->channel = wire_get_u8(&reader);
	if (!wire_done(&reader) || type != PACKET_HELLO)
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
job_put(struct buf *buf, const struct job *job)
{
	wire_put_u8(buf, PACKET_JOB);
	wire_put_u32(buf, job->delivery);
	wire_put_u64(buf, job->message_id);
	wire_put_text(buf, job->sender);
	wire_put_text(buf, job->recipient);
	wire_put_text(buf, job->user);
	wire_put_u32(buf, job->uid);
	wire_put_u32(buf, job->gid);
	wire_put_text(buf, job->home);
	wire_put_text(buf, job->dash);
	wire_put_text(buf, job->extension);
	wire_put_text(buf, job->header);
}

bool
job_get(const void *data, size_t length, struct job *out)
{
	struct wire_reader reader;
	uint8_t type;

	wire_open(&reader, data, length);
	type = wire_get_u8(&reader);
	out->delivery = wire_get_u32(&reader);
	out->message_id = wire_get_u64(&reader);
	out->sender = wire_get_text(&reader);
	out->recipient = wire_get_text(&reader);
	out->user = wire_get_text(&reader);
	out->uid = wire_get_u32(&reader);
	out->gid = wire_get_u32(&reader);
	out->home = wire_get_text(&reader);
	out->dash = wire_get_text(&reader);
	out->extension = wire_get_text(&reader);
	out->header = wire_get_text(&reader);
	return wire_done(&reader) && type == PACKET_JOB;
}

void
job_put_result(struct buf *buf, const struct job_result *result)
{
	wire_put_u8(buf, PACKET_RESULT);
	wire_put_u32(buf, result->delivery);
	wire_put_u8(buf, (uint8_t)result->outcome);
	wire_put_text(buf, result->text);
}

bool
job_take_result(const char **data, size_t *length, struct job_result *out)
{
	struct wire_reader reader;
	uint8_t type;

	wire_open(&reader, *data, *length);
	type = wire_get_u8(&reader);
	out->delivery = wire_get_u32(&reader);
	out->outcome = wire_get_u8(&reader);
	out->text = wire_get_text(&reader);
	if (reader.has_failed || type != PACKET_RESULT)
		return false;
	*data = reader.at;
	*length = reader.left;
	switch (out->outcome) {
	case JOB_DELIVERED:
	case JOB_TEMPFAIL:
	case JOB_PERMFAIL:
	case JOB_GENERAL:
		return true;
	}
	return false;
}
