/* SPDX-License-Identifier: ISC */
/* The header field TLS-Required. */
#include "queue/tls_wish.h"

#include <string.h>

#include "base/utf8.h"
#include "queue/dsn.h"

static const char field_name[] = "tls-required";

/* c is in lower case, and not LF. */
static void
read_value(struct tls_wish *wish, char c)
{
	bool is_blank = c == ' ' || c == '\t' || c == '\r';

	switch (wish->value) {
	case TLS_WISH_NOTHING:
		if (!is_blank)
			wish->value = c == 'n' ? TLS_WISH_N : TLS_WISH_ANOTHER;
		break;
	case TLS_WISH_N:
		wish->value = c == 'o' ? TLS_WISH_NO : TLS_WISH_ANOTHER;
		break;
	case TLS_WISH_NO:
	case TLS_WISH_NO_AND_BLANK:
		wish->value = is_blank ? TLS_WISH_NO_AND_BLANK
				       : TLS_WISH_ANOTHER;
		break;
	case TLS_WISH_ANOTHER:
		break;
	}
}

static void
read_name(struct tls_wish *wish, char c)
{
	if (field_name[wish->name_at] != c)
		wish->part = TLS_WISH_OTHER;
	else if (field_name[++wish->name_at] == '\0')
		wish->part = TLS_WISH_COLON;
}

static void
begin_line(struct tls_wish *wish, char c)
{
	if (c == ' ' || c == '\t') {
		wish->part = wish->is_ours ? TLS_WISH_VALUE : TLS_WISH_OTHER;
		return;
	}
	wish->is_ours = false;
	wish->name_at = 0;
	wish->part = TLS_WISH_NAME;
	read_name(wish, c);
}

static void
read_byte(struct tls_wish *wish, char c)
{
	switch (wish->part) {
	case TLS_WISH_START:
		begin_line(wish, c);
		break;
	case TLS_WISH_NAME:
		read_name(wish, c);
		break;
	case TLS_WISH_COLON:
		if (c == ':') {
			wish->fields++;
			wish->is_ours = true;
			wish->part = TLS_WISH_VALUE;
		} else if (c != ' ' && c != '\t')
			wish->part = TLS_WISH_OTHER;
		break;
	case TLS_WISH_VALUE:
		read_value(wish, c);
		break;
	case TLS_WISH_OTHER:
	case TLS_WISH_BODY:
		break;
	}
}

/* A line end is a blank of a value that goes on. */
static void
end_line(struct tls_wish *wish)
{
	if (wish->part == TLS_WISH_VALUE)
		read_value(wish, ' ');
	wish->part = wish->part == TLS_WISH_START ? TLS_WISH_BODY
						  : TLS_WISH_START;
}

void
tls_wish_read(struct tls_wish *wish, const char *data, size_t length)
{
	const char *end = data + length;

	while (data < end && wish->part != TLS_WISH_BODY) {
		char c;

		if (wish->part == TLS_WISH_OTHER) {
			data = memchr(data, '\n', (size_t)(end - data));
			if (data == NULL)
				return;
		}
		ascii_lower(&c, data++, 1);
		if (c == '\n')
			end_line(wish);
		else
			read_byte(wish, c);
	}
}

bool
tls_wish_is_no(const struct tls_wish *wish)
{
	return wish->fields == 1 &&
	    (wish->value == TLS_WISH_NO ||
		wish->value == TLS_WISH_NO_AND_BLANK);
}

void
tls_wish_put_dsn(const struct tls_wish *wish, const char *dsn, struct buf *buf)
{
	struct dsn_message params;

	if (dsn == NULL)
		dsn = "";
	if (!tls_wish_is_no(wish) || !dsn_get_message(dsn, &params)) {
		buf_adds(buf, dsn);
		return;
	}
	params.waives_tls = !params.needs_tls;
	dsn_put_message(buf, &params);
}
