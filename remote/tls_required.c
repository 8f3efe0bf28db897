/* SPDX-License-Identifier: ISC */
/* The header field TLS-Required. */
#include "remote/tls_required.h"

#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/mem.h"
#include "remote/body.h"

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The length of a field with its folded lines, and the last one's LF. */
static size_t
field_length(const char *at, size_t length)
{
	const char *end = at + length, *next = at;

	do {
		next = memchr(next, '\n', (size_t)(end - next));
		if (next == NULL)
			return length;
		next++;
	} while (next < end && (*next == ' ' || *next == '\t'));
	return (size_t)(next - at);
}

/* "TLS-Required" *WSP ":"; the length of that, or 0. */
static size_t
name_length(const char *field, size_t length)
{
	static const char name[] = "TLS-Required";
	size_t at = sizeof(name) - 1;

	if (length <= at || strncasecmp(field, name, at) != 0)
		return 0;
	while (at < length && (field[at] == ' ' || field[at] == '\t'))
		at++;
	return at < length && field[at] == ':' ? at + 1 : 0;
}

static bool
says_no(const char *value, size_t length)
{
	while (length > 0 && is_blank(value[0])) {
		value++;
		length--;
	}
	while (length > 0 && is_blank(value[length - 1]))
		length--;
	return length == 2 && strncasecmp(value, "No", 2) == 0;
}

bool
tls_required_is_no(const char *header, size_t length)
{
	bool is_no = false;
	unsigned fields = 0;

	while (length > 0 && header[0] != '\n') {
		size_t field = field_length(header, length);
		size_t name = name_length(header, field);

		if (name > 0) {
			fields++;
			is_no = says_no(header + name, field - name);
		}
		header += field;
		length -= field;
	}
	return is_no && fields == 1;
}

static void
take_header(void *context, const char *data, size_t length)
{
	struct buf *header = context;
	size_t room = TLS_REQUIRED_HEADER_MAX - header->length;

	buf_add(header, data, length < room ? length : room);
}

int
tls_required_examine(const struct session_message *message)
{
	AUTO(buf_release) struct buf header = BUF_INIT;

	if (message->requires_tls)
		return 0;
	if (body_read(message, take_header, &header) == -1)
		return -1;
	return header.length > 0 &&
	    tls_required_is_no(header.data, header.length);
}
