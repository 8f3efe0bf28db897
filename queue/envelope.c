/* SPDX-License-Identifier: ISC */
/* Envelopes on disk and in memory. */
#include "queue/envelope.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/scan.h"

static int
add_recipient(struct envelope *envelope, const char *recipient)
{
	size_t count = envelope->recipient_count;

	/* The array doubles at each power of two. */
	if ((count & (count - 1)) == 0)
		envelope->recipients = xrealloc(envelope->recipients,
		    (count == 0 ? 1 : count * 2) *
			sizeof(*envelope->recipients));
	envelope->recipients[envelope->recipient_count++] = recipient;
	return 0;
}

static int
parse_number(const char *text, unsigned long *out, struct error *err)
{
	uint64_t value;

	/* As qmail reads it: digits, and whatever follows is not looked at. */
	if (!scan_u64n(text, strspn(text, "0123456789"), UINT32_MAX, &value))
		return error_set(err, "bad number in envelope");
	*out = value;
	return 0;
}

static int
parse_field(struct envelope *envelope, const char *field, struct error *err)
{
	size_t length = strlen(field);

	if (field[0] == 'H' && length > ENVELOPE_HEADER_MAX)
		return error_set(err, "extra header too long");
	if (field[0] != 'H' && length > ENVELOPE_ADDRESS_MAX)
		return error_set(err, "envelope address too long");
	switch (field[0]) {
	case 'u':
		return parse_number(field + 1, &envelope->uid, err);
	case 'p':
		return parse_number(field + 1, &envelope->qp, err);
	case 'H':
		envelope->header = field + 1;
		return 0;
	case 'F':
		if (envelope->sender != NULL)
			return error_set(err, "second sender in envelope");
		envelope->sender = field + 1;
		return 0;
	case 'T':
		if (envelope->sender == NULL)
			return error_set(err,
			    "recipient before the sender "
			    "in envelope");
		return add_recipient(envelope, field + 1);
	default:
		return error_set(err, "unknown record type %d in envelope",
		    (unsigned char)field[0]);
	}
}

int
envelope_parse(const char *record, size_t length, bool is_input,
    struct envelope *envelope_out, struct error *err)
{
	struct envelope envelope = { .header = "" };
	const char *at = record, *end = record + length;
	bool has_end = !is_input;

	if (length == 0 || end[-1] != '\0') {
		error_set(err, "envelope is not complete");
		goto fail;
	}
	for (; at < end; at += strlen(at) + 1) {
		if (is_input && *at == '\0') {
			has_end = at + 1 == end;
			break;
		}
		if (is_input && strchr("FTH", *at) == NULL) {
			error_set(err, "unknown record type %d in envelope",
			    (unsigned char)*at);
			goto fail;
		}
		if (is_input && at[0] == 'T' && at[1] == '\0') {
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
	*envelope = (struct envelope){ .header = "" };
}

static void
put(struct buf *buf, char type, const char *text)
{
	buf_addc(buf, type);
	buf_add(buf, text, strlen(text) + 1);
}

void
envelope_format(struct buf *buf, const struct envelope *envelope)
{
	size_t i;

	buf_addf(buf, "u%lu", envelope->uid);
	buf_addc(buf, '\0');
	buf_addf(buf, "p%lu", envelope->qp);
	buf_addc(buf, '\0');
	if (envelope->header[0] != '\0')
		put(buf, 'H', envelope->header);
	put(buf, 'F', envelope->sender);
	for (i = 0; i < envelope->recipient_count; i++)
		put(buf, 'T', envelope->recipients[i]);
}
