/* SPDX-License-Identifier: ISC */
/* A report: a byte of flags, the notes up to a NUL, then the original. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "queue/bounce.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf buf = BUF_INIT;
	struct bounce bounce;
	const char *text;
	size_t length;
	char *notes;

	if (size == 0)
		return 0;
	text = (const char *)data + 1;
	length = strnlen(text, size - 1);
	notes = xstrndup(text, length);
	bounce = (struct bounce){ .host = "h",
		.from = "f@h",
		.to = "t@h",
		.subject = "s",
		.boundary = "boundary",
		.notes = notes,
		.sender = data[0] & 1 ? "" : "s@h",
		.is_double = data[0] & 1,
		.is_cut = data[0] & 2,
		.envid = data[0] & 4 ? "x+2By" : NULL,
		.envid_length = data[0] & 4 ? 5 : 0 };
	if (length < size - 1) {
		bounce.original = text + length + 1;
		bounce.original_length = size - 2 - length;
	} else
		bounce.original = "";
	bounce_format(&buf, &bounce);
	/* It begins and ends as a report does, whatever is in it. */
	assert(strncmp(buf.data, "Received: (qmail ", 17) == 0);
	assert(memcmp(buf.data + buf.length - 14, "\n--boundary--\n", 14) == 0);
	buf_release(&buf);
	free(notes);
	return 0;
}
