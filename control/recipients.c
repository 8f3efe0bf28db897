/* SPDX-License-Identifier: ISC */
/* Addresses that exist although no user store knows them. */
#include "control/recipients.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/lines.h"
#include "base/mem.h"
#include "base/utf8.h"
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

static int
add_recipients(struct cdbmap_writer *writer, const char *path, struct buf *text,
    struct error *err)
{
	struct lines lines;
	char *line;
	int found;

	lines_open(&lines, text);
	while ((found = lines_next(&lines, &line, err)) == 1)
		if (*line != '\0' && *line != '#' &&
		    add_recipient(writer, line, err) == -1)
			return error_context(err, "%s:%u", path, lines.number);
	if (found == 0)
		return 0;
	errno = EINVAL;
	return error_context(err, "%s:%u", path, lines.number);
}

int
recipients_compile(const struct home *home, struct error *err)
{
	OWN_TEXT path = layout_path(home, LAYOUT_recipients);
	OWN_TEXT cdb_path = layout_path(home, LAYOUT_recipients_cdb);
	AUTO(buf_release) struct buf text = BUF_INIT;
	AUTO(cdbmap_writer_abort) struct cdbmap_writer *writer = NULL;
	int found = file_read(path, RECIPIENTS_MAX_BYTES, &text, err);

	if (found == 0) {
		errno = ENOENT;
		error_set(err,
		    "no file '%s'; write the addresses in it, one a line",
		    path);
	}
	if (found != 1)
		return -1;
	writer = cdbmap_writer_new(cdb_path, err);
	if (writer == NULL || add_recipients(writer, path, &text, err) == -1)
		return -1;
	return cdbmap_writer_commit(&writer, err);
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
