/* SPDX-License-Identifier: ISC */
/* Texts that an operator writes for users and senders. */
#include "delivery/message_file.h"

#include <string.h>

#include "base/file.h"
#include "base/mem.h"

static bool
read_in(const char *folder, const char *name, struct buf *text)
{
	OWN_TEXT path = xasprintf("%s/%s", folder, name);

	buf_reset(text);
	return file_read(path, MESSAGE_FILE_MAX, text, NULL) == 1 &&
	    text->length > 0 && memchr(text->data, '\0', text->length) == NULL;
}

bool
message_file_read(const char *domains, const char *domain_dir, const char *name,
    struct buf *text)
{
	return read_in(domain_dir, name, text) || read_in(domains, name, text);
}
