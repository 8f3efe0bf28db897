/* SPDX-License-Identifier: ISC */
/* A file of lines, made into the cdb beside it. */
#include "control/cdb_text.h"

#include <errno.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/lines.h"
#include "base/mem.h"

static int
add_text_lines(struct cdbmap_writer *writer, const char *path,
    const struct cdb_text *kind, struct buf *text, struct error *err)
{
	struct lines lines;
	char *line;
	int found;

	lines_open(&lines, text);
	while ((found = lines_next(&lines, &line, err)) == 1)
		if (*line != '\0' && *line != '#' &&
		    kind->add(writer, line, err) == -1)
			return error_context(err, "%s:%u", path, lines.number);
	if (found == 0)
		return 0;
	errno = EINVAL;
	return error_context(err, "%s:%u", path, lines.number);
}

int
cdb_text_compile(
    const char *path, const struct cdb_text *kind, struct error *err)
{
	OWN_TEXT cdb_path = xasprintf("%s.cdb", path);
	AUTO(buf_release) struct buf text = BUF_INIT;
	AUTO(cdbmap_writer_abort) struct cdbmap_writer *writer = NULL;
	int found = file_read(path, kind->max_bytes, &text, err);

	if (found == 0) {
		errno = ENOENT;
		error_set(err, "no file '%s'; write %s", path, kind->content);
	}
	if (found != 1)
		return -1;
	writer = cdbmap_writer_new(cdb_path, err);
	if (writer == NULL)
		return -1;
	cdbmap_writer_set_mode(writer, kind->mode);
	if (add_text_lines(writer, path, kind, &text, err) == -1)
		return -1;
	return cdbmap_writer_commit(&writer, err);
}
