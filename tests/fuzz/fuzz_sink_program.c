/* SPDX-License-Identifier: ISC */
/*
 * What a QMAILQUEUE program says at its end: the text for a client is one line
 * that fits, and success is success only.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "queue/exitcode.h"
#include "queue/sink_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char custom[256] = "", *text;
	int code, result;

	if (size == 0)
		return 0;
	code = data[0];
	text = xmalloc(size); /* no longer than it is: overruns show */
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	result = sink_program_verdict(code, text, custom, sizeof(custom));
	assert((result == QQ_OK) == (code == 0));
	assert(strlen(custom) < sizeof(custom));
	assert(strpbrk(custom, "\r\n") == NULL);
	assert(code == QQ_CUSTOM || (result == code && custom[0] == '\0'));
	assert(qq_text(result) != NULL);
	if (code == QQ_CUSTOM && text[0] == 'D')
		assert(qq_is_permanent(result));
	if (code == QQ_CUSTOM && text[0] != 'D')
		assert(!qq_is_permanent(result));
	free(text);
	return 0;
}
