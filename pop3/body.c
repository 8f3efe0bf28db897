/* SPDX-License-Identifier: ISC */
/* A message on its way to a client. */
#include "pop3/body.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

enum { CHUNK_BYTES = 32 * 1024 };

struct body {
	struct stream *stream;
	int64_t lines_left; /* of the body; < 0: all */
	bool is_in_header;
	bool is_line_start, is_line_empty;
	bool has_cr; /* the last byte was one */
	bool is_over;
};

static void
end_line(struct body *body)
{
	if (!body->has_cr)
		stream_write(body->stream, "\r", 1);
	stream_write(body->stream, "\n", 1);
	if (body->is_in_header)
		body->is_in_header = !body->is_line_empty;
	else if (body->lines_left > 0)
		body->lines_left--;
	body->is_line_start = body->is_line_empty = true;
	body->has_cr = false;
	body->is_over = !body->is_in_header && body->lines_left == 0;
}

/* Part of a line, without its LF. */
static void
add_part(struct body *body, const char *data, size_t length)
{
	if (length == 0)
		return;
	if (body->is_line_start && data[0] == '.')
		stream_write(body->stream, ".", 1);
	if (!body->is_line_start || length > 1 || data[0] != '\r')
		body->is_line_empty = false;
	body->is_line_start = false;
	body->has_cr = data[length - 1] == '\r';
	stream_write(body->stream, data, length);
}

static void
add_chunk(struct body *body, const char *data, size_t length)
{
	while (length > 0 && !body->is_over) {
		const char *lf = memchr(data, '\n', length);
		size_t part = lf == NULL ? length : (size_t)(lf - data);

		add_part(body, data, part);
		if (lf == NULL)
			return;
		end_line(body);
		data += part + 1;
		length -= part + 1;
	}
}

int
pop3_body_send(struct stream *stream, int fd, int64_t lines, struct error *err)
{
	char *chunk = xmalloc(CHUNK_BYTES);
	struct body body = {
		.stream = stream,
		.lines_left = lines,
		.is_in_header = true,
		.is_line_start = true,
		.is_line_empty = true,
	};
	ssize_t n = 1;

	while (n > 0 && !body.is_over) {
		n = read(fd, chunk, CHUNK_BYTES);
		if (n == -1 && errno == EINTR) {
			n = 1;
			continue;
		}
		if (n > 0)
			add_chunk(&body, chunk, (size_t)n);
	}
	if (n == -1)
		error_sys(err, "cannot read the message");
	else {
		if (!body.is_line_start)
			end_line(&body);
		stream_write(stream, ".\r\n", 3);
	}
	free(chunk);
	return n == -1 ? -1 : 0;
}
