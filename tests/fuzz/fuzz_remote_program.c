/* SPDX-License-Identifier: ISC */
/*
 * The reports of a program that sends mail instead of us, for 0 to 3 recipients
 * besides the first (first byte): each has an outcome with a text of printable
 * lines, and none is delivered without a K.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "remote/program.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_text(const char *text)
{
	size_t length = strlen(text);

	assert(length <= REPLY_TEXT_SIZE + 1);
	assert(length == 0 || text[length - 1] == '\n');
	for (; *text != '\0'; text++)
		assert((*text >= ' ' && *text <= '~') || *text == '\n');
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct session_result results[4];
	size_t count, i;
	char *copy;

	if (size == 0)
		return 0;
	count = data[0] % 4 + 1;
	/* of its own size, so that a byte too much is found */
	copy = xmalloc(size == 1 ? 1 : size - 1);
	memcpy(copy, data + 1, size - 1);
	remote_program_read("/prog", copy, size - 1, results, count);
	for (i = 0; i < count; i++) {
		assert(results[i].outcome == SESSION_DELIVERED ||
		    results[i].outcome == SESSION_TEMPFAIL ||
		    results[i].outcome == SESSION_PERMFAIL);
		assert(results[i].outcome != SESSION_DELIVERED ||
		    memchr(copy, 'K', size - 1) != NULL);
		check_text(results[i].text);
		session_result_release(&results[i]);
	}
	free(copy);
	return 0;
}
