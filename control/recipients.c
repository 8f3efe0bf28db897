/* SPDX-License-Identifier: ISC */
/* Addresses that exist although no user store knows them. */
#include "control/recipients.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "control/cdb_text.h"
#include "control/idn.h"
#include "control/layout.h"

enum { RECIPIENTS_MAX_BYTES = 512 * 1024 * 1024, ADDRESS_SIZE = 1024 };

/* Keys are in lower case. */
static int
add_recipient(
    struct cdbmap_writer *writer, const char *line, struct error *err)
{
	const char *at = strrchr(line, '@');
	char key[ADDRESS_SIZE + IDN_DOMAIN_SIZE];
	size_t length;

	if (at == NULL || at - line >= ADDRESS_SIZE ||
	    !idn_domain_canonical(at + 1, key + (at + 1 - line))) {
		error_set(err,
		    "'%s' is no address; write user@domain, or @domain", line);
		errno = EINVAL;
		return -1;
	}
	ascii_lower(key, line, (size_t)(at + 1 - line));
	length = strlen(key + (at + 1 - line)) + (size_t)(at + 1 - line);
	return cdbmap_writer_add(writer, key, length, "", 0, err);
}

int
recipients_compile(const struct home *home, struct error *err)
{
	static const struct cdb_text kind = {
		.max_bytes = RECIPIENTS_MAX_BYTES,
		.mode = 0644,
		.content = "the addresses in it, one a line",
		.add = add_recipient,
	};
	OWN_TEXT path = layout_path(home, LAYOUT_recipients);

	return cdb_text_compile(path, &kind, err);
}

int
recipients_find(
    const struct cdbmap *map, const char *mailbox, struct error *err)
{
	OWN_TEXT key = xstrdup(mailbox);
	const char *at = strrchr(key, '@');
	int found;

	ascii_lower(key, key, strlen(key));
	found = cdbmap_get(map, key, strlen(key), NULL, err);
	return found != 0 || at == NULL
	    ? found
	    : cdbmap_get(map, at, strlen(at), NULL, err);
}
