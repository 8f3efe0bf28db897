/* SPDX-License-Identifier: ISC */
/* Any bytes as a variable's file: its value is what envdir makes of them. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "control/global_vars.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* Of just that size, for the address sanitizer. */
	char *copy = xmalloc(size > 0 ? size : 1);
	size_t i, length;
	char *value;

	if (size > 0)
		memcpy(copy, data, size);
	value = global_vars_parse(copy, size);
	length = strlen(value);
	assert(length <= size);
	assert(length == 0 || !is_blank(value[length - 1]));
	for (i = 0; i < length; i++)
		assert(value[i] == (copy[i] == '\0' ? '\n' : copy[i]) &&
		    copy[i] != '\n');
	/* What is left out of the line is blank. */
	for (; i < size && copy[i] != '\n'; i++)
		assert(is_blank(copy[i]));
	free(value);
	free(copy);
	return 0;
}
