/* SPDX-License-Identifier: ISC */
/* Compiles control/morercpthosts. */
#include "control/rcpthosts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "control/cdbmap.h"
#include "control/idn.h"

enum { FILE_MAX_BYTES = 256 * 1024 * 1024 };

/* Adds one line of text, cut off in place. */
static int
add_line(
    struct cdbmap_writer *writer, char *line, char *stop, struct error *err)
{
	char domain[IDN_DOMAIN_SIZE];

	if (memchr(line, '\0', (size_t)(stop - line)) != NULL) {
		errno = EINVAL;
		return error_set(err, "a NUL byte; this is not a text file");
	}
	while (stop > line && strchr(" \t\r", stop[-1]) != NULL)
		stop--;
	*stop = '\0';
	if (*line == '\0' || *line == '#')
		return 0;
	if (settings_check_value(SETTING_rcpthosts, line, err) == -1) {
		errno = EINVAL;
		return -1;
	}
	idn_domain_canonical(line, domain);
	return cdbmap_writer_add(writer, domain, strlen(domain), "", 0, err);
}

static int
add_lines(struct cdbmap_writer *writer, const char *path, struct buf *text,
    struct error *err)
{
	char *at = text->data, *end = text->data + text->length;
	unsigned line;

	for (line = 1; at < end; line++) {
		char *newline = memchr(at, '\n', (size_t)(end - at));
		char *stop = newline != NULL ? newline : end;

		if (add_line(writer, at, stop, err) == -1)
			return error_context(err, "%s:%u", path, line);
		at = newline != NULL ? newline + 1 : end;
	}
	return 0;
}

int
rcpthosts_compile_more(const char *control_dir, struct error *err)
{
	char *path = xasprintf("%s/morercpthosts", control_dir);
	char *cdb_path = xasprintf("%s.cdb", path);
	struct cdbmap_writer *writer = NULL;
	struct buf text;
	int result, saved_errno;

	buf_init(&text);
	result = file_read(path, FILE_MAX_BYTES, &text, err);
	if (result == 0) {
		errno = ENOENT;
		error_set(err,
		    "no file '%s'; write the domains in it, one a "
		    "line",
		    path);
	}
	if (result == 1)
		writer = cdbmap_writer_new(cdb_path, err);
	result = -1;
	if (writer != NULL && add_lines(writer, path, &text, err) == 0)
		result = cdbmap_writer_commit(&writer, err);
	saved_errno = errno;
	cdbmap_writer_abort(&writer);
	buf_release(&text);
	free(cdb_path);
	free(path);
	errno = saved_errno;
	return result;
}
