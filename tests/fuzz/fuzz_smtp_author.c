/* SPDX-License-Identifier: ISC */
/*
 * Lists of From and Sender: each mailbox has a domain and no byte that ends a
 * line, the list comes to an end, and a mailbox alone in angles is read as
 * itself.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "smtp/author.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_mailbox(const struct buf *mailbox)
{
	const char *at = memrchr(mailbox->data, '@', mailbox->length);

	assert(at != NULL && at > mailbox->data &&
	    at < mailbox->data + mailbox->length - 1);
	assert(memchr(mailbox->data, '\n', mailbox->length) == NULL);
	assert(memchr(mailbox->data, '\0', mailbox->length) == NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = xmalloc(size + 1);
	const char *at = text, *before;
	struct buf mailbox = BUF_INIT;
	int found;

	memcpy(text, data, size);
	do {
		before = at;
		found = author_next(&at, text + size, &mailbox);
		if (found == 1) {
			assert(at > before);
			check_mailbox(&mailbox);
		}
	} while (found == 1);
	buf_release(&mailbox);
	free(text);
	return 0;
}
