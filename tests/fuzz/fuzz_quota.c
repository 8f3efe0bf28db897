/* SPDX-License-Identifier: ISC */
/* A maildirsize, and its first line alone as a user's quota. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"
#include "mailbox/quota.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = xstrndup((const char *)data, size);
	struct quota_usage usage;
	struct quota quota;
	unsigned lines;
	int result;

	if (quota_read_text((const char *)data, size, &quota, &usage, &lines)) {
		assert(quota.bytes != 0 || quota.count != 0);
		assert(usage.bytes >= 0 && usage.count >= 0 && lines > 0);
	}
	result = quota_read(text, &quota, NULL);
	assert(result == 1 || (quota.bytes == 0 && quota.count == 0));
	free(text);
	return 0;
}
