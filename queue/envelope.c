/* SPDX-License-Identifier: ISC */
/* Envelopes on disk and in memory. */
#include "queue/envelope.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/scan.h"
#include "queue/dsn.h"

/* Room for all recipients of a record, and for marks when there are any. */
static void
make_recipient_room(
    struct envelope *envelope, const char *record, const char *end)
{
	size_t count = 0;
	bool has_marks = false, has_dsn = false;

	for (; record < end; record += strlen(record) + 1) {
		count += *record == 'T' || *record == 'D';
		has_marks |= *record == 'D';
		has_dsn |= *record == 'r';
	}
	envelope->recipients = xcalloc(
	    count + 1, sizeof(*envelope->recipients));
	if (has_marks)
		envelope->is_done = xcalloc(count, sizeof(*envelope->is_done));
	if (has_dsn)
		envelope->recipient_dsn = xcalloc(
		    count + 1, sizeof(*envelope->recipient_dsn));
}

static void
add_recipient(struct envelope *envelope, const char *recipient, bool is_done)
{
	if (is_done)
		envelope->is_done[envelope->recipient_count] = true;
	envelope->recipients[envelope->recipient_count++] = recipient;
}

/* It belongs to the recipient in the next record. */
static int
parse_recipient_dsn(
    struct envelope *envelope, const char *text, struct error *err)
{
	struct dsn_recipient dsn;

	if (!dsn_get_recipient(text, &dsn) ||
	    envelope->recipient_dsn[envelope->recipient_count] != NULL)
		return error_set(err, "bad DSN parameters in envelope");
	envelope->recipient_dsn[envelope->recipient_count] = text;
	return 0;
}

/* As qmail reads it: digits, and whatever follows is not looked at. */
static int
parse_number(const char *text, uint64_t max, uint64_t *out, struct error *err)
{
	if (!scan_u64n(text, strspn(text, "0123456789"), max, out))
		return error_set(err, "bad number in envelope");
	return 0;
}

/*
 * The number; behind it a blank and the UUID, or "-"; behind that a blank and
 * the committed length.  Something else there is nobody's of us.
 */
static int
parse_qp(struct envelope *envelope, const char *text, struct error *err)
{
	const char *uuid = strchr(text, ' ');
	const char *size = uuid == NULL ? NULL : strchr(uuid + 1, ' ');
	uint64_t value;

	if (parse_number(text, UINT32_MAX, &value, err) == -1)
		return -1;
	envelope->qp = (unsigned long)value;
	if (uuid != NULL && !uuid_parse(uuid + 1, &envelope->uuid))
		envelope->uuid = (struct uuid){ { 0 } };
	envelope->has_size = size != NULL &&
	    scan_u64(size + 1, INT64_MAX, &envelope->size_bytes);
	return 0;
}

static size_t
find_max(char type)
{
	switch (type) {
	case 'H':
		return ENVELOPE_HEADER_MAX;
	case 'n':
		return ENVELOPE_MAX_BYTES;
	default:
		return ENVELOPE_ADDRESS_MAX;
	}
}

static int
parse_field(struct envelope *envelope, const char *field, struct error *err)
{
	const char *text = field + 1;
	struct dsn_message dsn;
	uint64_t value = 0;

	if (strlen(field) > find_max(field[0]))
		return error_set(err,
		    field[0] == 'H' ? "extra header too long"
				    : "envelope address too long");
	switch (field[0]) {
	case 'u':
		if (parse_number(text, UINT32_MAX, &value, err) == -1)
			return -1;
		envelope->uid = (unsigned long)value;
		return 0;
	case 'p':
		return parse_qp(envelope, text, err);
	case 'b':
		if (parse_number(text, INT64_MAX, &value, err) == -1)
			return -1;
		envelope->birth = (time_t)value;
		return 0;
	case 'a':
		if (parse_number(text, ENVELOPE_ATTEMPT_MAX, &value, err) == -1)
			return -1;
		envelope->attempt = (unsigned)value;
		return 0;
	case 'n':
		envelope->notes = text;
		return 0;
	case 'H':
		envelope->header = text;
		return 0;
	case 'e':
		if (!dsn_get_message(text, &dsn))
			return error_set(err, "bad DSN parameters in envelope");
		envelope->dsn = text;
		return 0;
	case 'r':
		return parse_recipient_dsn(envelope, text, err);
	case 'F':
		if (envelope->sender != NULL)
			return error_set(err, "second sender in envelope");
		envelope->sender = text;
		return 0;
	default: /* T and D */
		if (envelope->sender == NULL)
			return error_set(
			    err, "recipient before the sender in envelope");
		add_recipient(envelope, text, field[0] == 'D');
		return 0;
	}
}

/* The types that each form may have; all of them have an end of string. */
static const char *
find_types(enum envelope_form form)
{
	switch (form) {
	case ENVELOPE_TODO:
		return "upbaneHFrTD";
	case ENVELOPE_INPUT:
		return "eHFrT";
	case ENVELOPE_IMPORT:
		return "baneHFrTD";
	}
	return "";
}

int
envelope_parse(const char *record, size_t length, enum envelope_form form,
    struct envelope *envelope_out, struct error *err)
{
	struct envelope envelope = { .header = "", .dsn = "", .notes = "" };
	const char *at = record, *end = record + length;
	bool is_input = form != ENVELOPE_TODO, has_end = !is_input;

	if (length == 0 || end[-1] != '\0') {
		error_set(err, "envelope is not complete");
		goto fail;
	}
	make_recipient_room(&envelope, record, end);
	for (; at < end; at += strlen(at) + 1) {
		if (is_input && *at == '\0') {
			has_end = at + 1 == end;
			break;
		}
		if (*at == '\0' || strchr(find_types(form), *at) == NULL) {
			error_set(err, "unknown record type %d in envelope",
			    (unsigned char)*at);
			goto fail;
		}
		if (is_input && (at[0] == 'T' || at[0] == 'D') &&
		    at[1] == '\0') {
			error_set(err, "empty recipient in envelope");
			goto fail;
		}
		if (parse_field(&envelope, at, err) == -1)
			goto fail;
	}
	if (!has_end || envelope.sender == NULL) {
		error_set(err, "envelope is not complete");
		goto fail;
	}
	*envelope_out = envelope;
	return 0;
fail:
	envelope_release(&envelope);
	return -1;
}

void
envelope_release(struct envelope *envelope)
{
	free(envelope->recipients);
	free(envelope->recipient_dsn);
	free(envelope->is_done);
	*envelope = (struct envelope){ .header = "", .dsn = "", .notes = "" };
}

void
envelope_put(struct buf *buf, char type, const char *text)
{
	buf_addc(buf, type);
	buf_add(buf, text, strlen(text) + 1);
}

void
envelope_put_number(struct buf *buf, char type, uint64_t number)
{
	buf_addf(buf, "%c%llu", type, (unsigned long long)number);
	buf_addc(buf, '\0');
}

void
envelope_put_origin(struct buf *buf, const struct envelope *envelope)
{
	char uuid[UUID_TEXT_SIZE] = "-";
	bool has_uuid = !uuid_is_none(&envelope->uuid);

	if (has_uuid)
		uuid_format(&envelope->uuid, uuid);
	envelope_put_number(buf, 'u', envelope->uid);
	buf_addf(buf, "p%lu", envelope->qp);
	if (has_uuid || envelope->has_size)
		buf_addf(buf, " %s", uuid);
	if (envelope->has_size)
		buf_addf(
		    buf, " %llu", (unsigned long long)envelope->size_bytes);
	buf_addc(buf, '\0');
}

const char *
envelope_dsn(const struct envelope *envelope, size_t recipient)
{
	return envelope->recipient_dsn == NULL ||
		envelope->recipient_dsn[recipient] == NULL
	    ? ""
	    : envelope->recipient_dsn[recipient];
}

void
envelope_format(struct buf *buf, const struct envelope *envelope)
{
	envelope_put_origin(buf, envelope);
	if (envelope->birth > 0)
		envelope_put_number(buf, 'b', (uint64_t)envelope->birth);
	if (envelope->attempt > 0)
		envelope_put_number(buf, 'a', envelope->attempt);
	if (envelope->notes != NULL && envelope->notes[0] != '\0')
		envelope_put(buf, 'n', envelope->notes);
	if (envelope->header[0] != '\0')
		envelope_put(buf, 'H', envelope->header);
	if (envelope->dsn != NULL && envelope->dsn[0] != '\0')
		envelope_put(buf, 'e', envelope->dsn);
	envelope_put(buf, 'F', envelope->sender);
	for (size_t i = 0; i < envelope->recipient_count; i++) {
		if (envelope_dsn(envelope, i)[0] != '\0')
			envelope_put(buf, 'r', envelope_dsn(envelope, i));
		envelope_put(buf,
		    envelope->is_done != NULL && envelope->is_done[i] ? 'D'
								      : 'T',
		    envelope->recipients[i]);
	}
}

int
envelope_check_size(uint64_t id, uint64_t size_bytes, uint64_t committed_bytes,
    struct error *err)
{
	return size_bytes == committed_bytes
	    ? 0
	    : error_set(err,
		  "mess/%llu has %llu bytes, and had %llu when it was accepted",
		  (unsigned long long)id, (unsigned long long)size_bytes,
		  (unsigned long long)committed_bytes);
}
