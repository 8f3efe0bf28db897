/* SPDX-License-Identifier: ISC */
/* A quota as operators give it: what is taken, deliveries must understand. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "adminsrv/quota_text.h"
#include "base/mem.h"
#include "mailbox/quota.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = xstrndup((const char *)data, size);
	struct buf first, again;
	struct error err = { "" };
	struct quota quota;

	buf_init(&first);
	buf_init(&again);
	if (quota_text_read(text, &first, &err) == 0) {
		assert(quota_read(first.data, &quota, NULL) ==
		    (strcmp(first.data, "NOQUOTA") != 0));
		assert(quota_text_read(first.data, &again, &err) == 0);
		assert(strcmp(first.data, again.data) == 0);
	} else
		assert(err.text[0] != '\0');
	buf_release(&first);
	buf_release(&again);
	free(text);
	return 0;
}
