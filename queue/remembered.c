/* SPDX-License-Identifier: ISC */
/* The records of info/ID, local/ID and remote/ID. */
#include "queue/remembered.h"

#include <stdio.h>
#include <string.h>

#include "base/scan.h"
#include "queue/dsn.h"
#include "queue/envelope.h"

static bool
is_complete(const char *records, size_t length)
{
	return length > 0 && records[length - 1] == '\0';
}

int
remembered_next(const char *list, size_t length, size_t *at,
    struct remembered *recipient_out, struct error *err)
{
	const char *record;

	if (!is_complete(list, length))
		return error_set(err, "is not complete");
	if (*at >= length)
		return 0;
	record = list + *at;
	if (*record != 'T' && *record != 'D')
		return error_set(
		    err, "unknown record type %d", (unsigned char)*record);
	*recipient_out = (struct remembered){
		.address = record + 1, .offset = *at, .is_done = *record == 'D'
	};
	*at += strlen(record) + 1;
	return 1;
}

const char *
remembered_field(const char *info, size_t length, char type)
{
	size_t at;

	if (!is_complete(info, length))
		return NULL;
	for (at = 0; at < length; at += strlen(info + at) + 1)
		if (info[at] == type)
			return info + at + 1;
	return NULL;
}

void
remembered_try(unsigned attempt, const bool is_told[2],
    char bytes_out[REMEMBERED_TRY_BYTES + 1])
{
	if (attempt > REMEMBERED_ATTEMPT_MAX)
		attempt = REMEMBERED_ATTEMPT_MAX;
	snprintf(bytes_out, REMEMBERED_ATTEMPT_DIGITS + 1, "%06u", attempt);
	snprintf(bytes_out + REMEMBERED_ATTEMPT_DIGITS + 1, 4, "W%c%c",
	    is_told[0] ? '1' : '0', is_told[1] ? '1' : '0');
}

void
remembered_put_dsn(struct buf *buf, const struct remembered_dsn *dsn)
{
	buf_addf(
	    buf, "N%c%zu%s", dsn->is_remote ? 'r' : 'l', dsn->offset, dsn->dsn);
	buf_addc(buf, '\0');
}

static int
read_dsn(const char *text, struct remembered_dsn *out, struct error *err)
{
	size_t digits = text[0] == '\0' ? 0 : strspn(text + 1, "0123456789");
	struct dsn_recipient dsn;
	uint64_t offset;

	if ((text[0] != 'l' && text[0] != 'r') ||
	    !scan_u64n(text + 1, digits, SIZE_MAX, &offset) ||
	    !dsn_get_recipient(text + 1 + digits, &dsn))
		return error_set(err, "bad DSN parameters");
	*out = (struct remembered_dsn){ .is_remote = text[0] == 'r',
		.offset = offset,
		.dsn = text + 1 + digits };
	return 0;
}

int
remembered_next_dsn(const char *info, size_t length, size_t *at,
    struct remembered_dsn *dsn_out, struct error *err)
{
	while (*at < length) {
		const char *record = info + *at;

		*at += strlen(record) + 1;
		if (record[0] == 'N')
			return read_dsn(record + 1, dsn_out, err) == -1 ? -1
									: 1;
	}
	return 0;
}

void
remembered_put_info(struct buf *buf, const struct remembered_info *info)
{
	char tried[REMEMBERED_TRY_BYTES + 1], uuid[UUID_TEXT_SIZE];

	envelope_put(buf, 'F', info->sender);
	remembered_try(info->attempt, info->is_told, tried);
	buf_addc(buf, 'A');
	buf_add(buf, tried, sizeof(tried));
	if (!uuid_is_none(&info->uuid)) {
		uuid_format(&info->uuid, uuid);
		envelope_put(buf, 'I', uuid);
	}
	if (info->has_size)
		envelope_put_number(buf, 'S', info->size_bytes);
	if (info->birth > 0)
		envelope_put_number(buf, 'B', (uint64_t)info->birth);
	if (info->dsn != NULL && info->dsn[0] != '\0')
		envelope_put(buf, 'E', info->dsn);
	if (info->header[0] != '\0')
		envelope_put(buf, 'H', info->header);
}

static int
read_attempt(const char *info, const char *text, struct remembered_info *out,
    struct error *err)
{
	uint64_t value;

	if (strlen(text) != REMEMBERED_ATTEMPT_DIGITS ||
	    !scan_u64(text, REMEMBERED_ATTEMPT_MAX, &value))
		return error_set(err, "bad number of attempts");
	out->attempt = (unsigned)value;
	out->attempt_at = (size_t)(text - info);
	return 0;
}

/* Only right behind the digits, with which it is written. */
static void
read_told(const char *info, const char *text, struct remembered_info *out)
{
	out->has_told = text != NULL && out->attempt_at > 0 &&
	    strlen(text) == 2 &&
	    (size_t)(text - info) ==
		out->attempt_at + REMEMBERED_ATTEMPT_DIGITS + 2;
	out->is_told[0] = !out->has_told || text[0] != '0';
	out->is_told[1] = !out->has_told || text[1] != '0';
}

int
remembered_get_info(const char *info, size_t length,
    struct remembered_info *info_out, struct error *err)
{
	const char *attempt = remembered_field(info, length, 'A');
	const char *uuid = remembered_field(info, length, 'I');
	const char *size = remembered_field(info, length, 'S');
	const char *birth = remembered_field(info, length, 'B');
	const char *header = remembered_field(info, length, 'H');
	const char *dsn = remembered_field(info, length, 'E');
	struct dsn_message dsn_read;
	uint64_t birth_s = 0;

	*info_out = (struct remembered_info){ .header = "", .dsn = "" };
	info_out->sender = remembered_field(info, length, 'F');
	if (info_out->sender == NULL)
		return error_set(err, "has no sender");
	if (attempt != NULL && read_attempt(info, attempt, info_out, err) == -1)
		return -1;
	read_told(info, remembered_field(info, length, 'W'), info_out);
	if (dsn != NULL && !dsn_get_message(dsn, &dsn_read))
		return error_set(err, "bad DSN parameters");
	if (dsn != NULL)
		info_out->dsn = dsn;
	if (uuid != NULL &&
	    (strlen(uuid) != UUID_TEXT_SIZE - 1 ||
		!uuid_parse(uuid, &info_out->uuid)))
		return error_set(err, "bad UUID");
	info_out->has_size = size != NULL;
	if (size != NULL && !scan_u64(size, INT64_MAX, &info_out->size_bytes))
		return error_set(err, "bad size");
	if (birth != NULL && !scan_u64(birth, INT64_MAX, &birth_s))
		return error_set(err, "bad birth");
	info_out->birth = (time_t)birth_s;
	if (header != NULL)
		info_out->header = header;
	return 0;
}

time_t
remembered_birth(const struct remembered_info *info, time_t mtime)
{
	return info->birth > 0 && info->birth < mtime ? info->birth : mtime;
}
