/* SPDX-License-Identifier: ISC */
/* The lines of a control file, as the settings are read. */
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "svctool/check/check.h"

enum { FILE_MAX_BYTES = 64 * 1024 * 1024 };

void
check_each_line(struct check *check, const char *path,
    void (*see)(unsigned number, char *line, void *context), void *context)
{
	struct buf text;
	struct error err;
	char *at, *end;

	buf_init(&text);
	if (file_read(path, FILE_MAX_BYTES, &text, &err) == -1)
		check_reason(check, CHECK_ERROR, err.text,
		    "run this as its owner or root");
	at = text.data;
	end = text.data + text.length;
	for (unsigned line = 1; at < end; line++) {
		char *newline = memchr(at, '\n', (size_t)(end - at));
		char *stop = newline != NULL ? newline : end;

		while (stop > at && strchr(" \t\r", stop[-1]) != NULL)
			stop--;
		*stop = '\0';
		if (*at != '#' && *at != '\0')
			see(line, at, context);
		at = newline != NULL ? newline + 1 : end;
	}
	buf_release(&text);
}
