/* SPDX-License-Identifier: ISC */
/*
 * The header of a message that is submitted: the first byte says in which
 * pieces it comes, which makes no difference; it has what it must have once,
 * and no Bcc.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "smtp/originate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
take(void *context, const char *data, size_t length)
{
	assert(length > 0);
	buf_add(context, data, length);
}

static void
pass(const char *text, size_t length, size_t piece, struct buf *out)
{
	static const struct originate_options options = { .host = "h.test",
		.domain = "d.test",
		.from = "me@h.test",
		.id = "1",
		.me = "mx.test",
		.when = 1700000000 };
	struct originate originate;

	buf_init(out);
	originate_init(&originate, &options, take, out);
	for (size_t at = 0; at < length; at += piece)
		originate_read(&originate, text + at,
		    piece < length - at ? piece : length - at);
	originate_finish(&originate);
	originate_release(&originate);
}

static void
check_header(const struct buf *out)
{
	const char *line = out->data, *end = out->data + out->length;
	unsigned ids = 0;

	while (line < end && *line != '\n') {
		const char *next = memchr(line, '\n', (size_t)(end - line));

		assert(next != NULL);
		assert(strncasecmp(line, "Bcc:", 4) != 0);
		ids += strncasecmp(line, "Message-ID:", 11) == 0;
		line = next + 1;
	}
	assert(ids > 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf whole, pieces;
	char *text;

	if (size == 0)
		return 0;
	text = xmalloc(size);
	memcpy(text, data + 1, size - 1);
	pass(text, size - 1, SIZE_MAX / 2, &whole);
	pass(text, size - 1, 1 + data[0] % 64u, &pieces);
	assert(whole.length == pieces.length);
	assert(memcmp(whole.data, pieces.data, whole.length) == 0);
	check_header(&whole);
	buf_release(&whole);
	buf_release(&pieces);
	free(text);
	return 0;
}
