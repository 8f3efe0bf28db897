/* SPDX-License-Identifier: ISC */
/* The lines of a text that was read whole. */
#include "base/lines.h"

#include <string.h>

void
lines_open(struct lines *lines, struct buf *text)
{
	*lines = (struct lines){ .at = text->data,
		.end = text->length > 0 ? text->data + text->length
					: text->data };
}

int
lines_next(struct lines *lines, char **line_out, struct error *err)
{
	char *line = lines->at, *stop;

	if (line == lines->end)
		return 0;
	lines->number++;
	stop = memchr(line, '\n', (size_t)(lines->end - line));
	lines->at = stop != NULL ? stop + 1 : lines->end;
	if (stop == NULL)
		stop = lines->end;
	if (memchr(line, '\0', (size_t)(stop - line)) != NULL)
		return error_set(err, "a NUL byte; this is not a text file");
	while (stop > line && strchr(" \t\r", stop[-1]) != NULL)
		stop--;
	*stop = '\0';
	*line_out = line;
	return 1;
}
