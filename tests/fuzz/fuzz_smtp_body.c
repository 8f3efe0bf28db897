/* SPDX-License-Identifier: ISC */
/*
 * The bytes of DATA and BDAT, against a plain reading of RFC 5321: first byte
 * even: DATA; the second says how the rest is cut into pieces.
 */
#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "smtp/body.h"
#include "smtp/hops.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
collect(void *context, const char *data, size_t length)
{
	assert(length > 0);
	buf_add(context, data, length);
}

/* Splits at CRLF, line by line; returns how much was used. */
static size_t
read_plainly(const char *data, size_t size, bool is_dotted, struct buf *stored,
    bool *has_ended)
{
	size_t at = 0;

	*has_ended = false;
	while (at < size) {
		const char *line = data + at;
		const char *end = memmem(line, size - at, "\r\n", 2);
		size_t length = end == NULL ? size - at : (size_t)(end - line);

		at += length + (end == NULL ? 0 : 2);
		if (is_dotted && length > 0 && line[0] == '.') {
			if (length == 1 && end != NULL) {
				*has_ended = true;
				return at;
			}
			line++;
			length--;
		}
		buf_add(stored, line, length);
		if (end != NULL)
			buf_addc(stored, '\n');
	}
	return at;
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	const char *data = (const char *)bytes + 2;
	struct smtp_hops whole = SMTP_HOPS_INIT, cut = SMTP_HOPS_INIT;
	struct buf wanted, stored;
	struct smtp_body body;
	bool is_dotted, wanted_end, has_ended = false;
	size_t step, at = 0, used, wanted_used;

	if (size < 3)
		return 0;
	is_dotted = (bytes[0] & 1) == 0;
	step = bytes[1] == 0 ? size : bytes[1];
	size -= 2;
	buf_init(&wanted);
	buf_init(&stored);
	smtp_body_init(&body, is_dotted, collect, &stored);
	while (at < size && !has_ended) {
		size_t piece = size - at < step ? size - at : step;

		has_ended = smtp_body_read(&body, data + at, piece, &used);
		assert(used <= piece && (has_ended || used == piece));
		at += used;
	}
	wanted_used = read_plainly(data, size, is_dotted, &wanted, &wanted_end);
	assert(has_ended == wanted_end && at == wanted_used);
	/* Without an end, only a CR that came last may be held back. */
	if (!has_ended && body.state == SMTP_BODY_DOT_CR)
		buf_addc(&stored, '\r');
	else if (!has_ended)
		smtp_body_finish(&body);
	assert(stored.length == wanted.length);
	assert(memcmp(stored.data, wanted.data, stored.length) == 0);
	smtp_hops_read(&whole, stored.data, stored.length);
	for (at = 0; at < stored.length; at += step)
		smtp_hops_read(&cut, stored.data + at,
		    stored.length - at < step ? stored.length - at : step);
	assert(whole.count == cut.count);
	buf_release(&wanted);
	buf_release(&stored);
	return 0;
}
