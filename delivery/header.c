/* SPDX-License-Identifier: ISC */
/* The header of a message. */
#include "delivery/header.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/mem.h"

/* RFC 5322 2.2: printable US-ASCII but for ':'. */
static size_t
field_name_length(const char *line, size_t length)
{
	size_t i = 0;

	while (i < length && line[i] > ' ' && line[i] < 127 && line[i] != ':')
		i++;
	return i;
}

/* Puts "NAME:" without blanks in front of the ':'; false: it is no field. */
static bool
begin_field(struct buf *text, const char *line, size_t length, size_t *used_out)
{
	size_t name = field_name_length(line, length), at = name;

	while (at < length && (line[at] == ' ' || line[at] == '\t'))
		at++;
	if (name == 0 || at == length || line[at] != ':')
		return false;
	buf_add(text, line, name);
	buf_addc(text, ':');
	*used_out = at + 1;
	return true;
}

static void
add_value(struct buf *text, const char *data, size_t length)
{
	while (length > 0 &&
	    (data[length - 1] == '\r' || data[length - 1] == ' ' ||
		data[length - 1] == '\t'))
		length--;
	for (size_t i = 0; i < length; i++)
		buf_addc(text, data[i] == '\0' ? ' ' : data[i]);
}

void
header_read(struct header *header, const char *data, size_t length)
{
	const char *end = data + length;
	bool is_in_field = false;

	buf_init(&header->text);
	while (data < end) {
		const char *newline = memchr(data, '\n', (size_t)(end - data));
		size_t n = (size_t)((newline == NULL ? end : newline) - data);
		size_t used = 0;

		if (n == 0 || (n == 1 && *data == '\r'))
			break;
		if (*data == ' ' || *data == '\t') {
			if (is_in_field)
				add_value(&header->text, data, n);
		} else {
			if (is_in_field)
				buf_addc(&header->text, '\0');
			is_in_field = begin_field(
			    &header->text, data, n, &used);
			if (is_in_field)
				add_value(&header->text, data + used, n - used);
		}
		data += n + (newline != NULL);
	}
	if (is_in_field)
		buf_addc(&header->text, '\0');
}

int
header_read_fd(struct header *header, int fd, uint64_t size, struct error *err)
{
	size_t most = size < HEADER_BYTES_MAX ? (size_t)size : HEADER_BYTES_MAX;
	AUTO(mem_free) char *data = xmalloc(most + 1);
	size_t used = 0;

	while (used < most) {
		ssize_t n = pread(fd, data + used, most - used, (off_t)used);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return error_sys(err, "cannot read the message");
		if (n == 0)
			break;
		used += (size_t)n;
	}
	header_read(header, data, used);
	return 0;
}

void
header_release(struct header *header)
{
	buf_release(&header->text);
}

const char *
header_next(const struct header *header, const char *name, const char *after)
{
	const char *at = header->text.data;
	const char *end = at + header->text.length;
	size_t length = strlen(name);

	if (after != NULL)
		at = after + strlen(after) + 1;
	for (; at < end; at += strlen(at) + 1)
		if (strncasecmp(at, name, length) == 0 && at[length] == ':') {
			at += length + 1;
			return at + strspn(at, " \t");
		}
	return NULL;
}

const char *
header_get(const struct header *header, const char *name)
{
	return header_next(header, name, NULL);
}

/* A byte that may be part of an address, so that bob@x is not in jacob@x. */
static bool
is_address_byte(char c)
{
	return isalnum((unsigned char)c) ||
	    (c != '\0' && strchr(".-_+=@", c) != NULL);
}

static bool
has_address(const char *value, const char *address)
{
	size_t length = strlen(address);
	const char *at = value;

	for (; length > 0 && *at != '\0'; at++)
		if (strncasecmp(at, address, length) == 0 &&
		    (at == value || !is_address_byte(at[-1])) &&
		    !is_address_byte(at[length]))
			return true;
	return false;
}

bool
header_names(const struct header *header, const char *name, const char *address)
{
	const char *value = NULL;

	while ((value = header_next(header, name, value)) != NULL)
		if (has_address(value, address))
			return true;
	return false;
}
