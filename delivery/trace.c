/* SPDX-License-Identifier: ISC */
/* The lines that final delivery puts in front of a message. */
#include "delivery/trace.h"

#include <ctype.h>
#include <string.h>

#include "base/mailbox_text.h"
#include "base/mem.h"

void
trace_put_return_path(struct buf *buf, const char *sender)
{
	buf_adds(buf, "Return-Path: <");
	mailbox_put_quoted(buf, sender);
	buf_adds(buf, ">\n");
}

void
trace_put_delivered_to(struct buf *buf, const char *recipient)
{
	buf_adds(buf, "Delivered-To: ");
	for (; *recipient != '\0'; recipient++)
		buf_addc(
		    buf, iscntrl((unsigned char)*recipient) ? '_' : *recipient);
	buf_addc(buf, '\n');
}

void
trace_put_address(struct buf *buf, const char *local, const char *domain)
{
	OWN_TEXT mailbox = xasprintf("%s@%s", local, domain);

	mailbox_put_quoted(buf, mailbox);
}

static void
begin_line(struct trace_search *search)
{
	search->matched = 0;
	search->is_matching = search->is_blank = true;
}

void
trace_search_init(struct trace_search *search, const char *line, size_t length)
{
	*search = (struct trace_search){ .line = line, .length = length };
	begin_line(search);
}

/* A line has ended. */
static void
end_line(struct trace_search *search)
{
	search->is_found = search->is_matching &&
	    search->matched == search->length;
	search->is_over = search->is_found || search->is_blank;
	begin_line(search);
}

static void
feed_byte(struct trace_search *search, char c)
{
	if (c == '\n') {
		end_line(search);
		return;
	}
	if (c == '\r') /* a CR before the LF; elsewhere nobody's address */
		return;
	search->is_blank = false;
	if (search->matched < search->length &&
	    tolower((unsigned char)c) ==
		tolower((unsigned char)search->line[search->matched]))
		search->matched++;
	else
		search->is_matching = false;
}

bool
trace_search_feed(struct trace_search *search, const char *data, size_t length)
{
	const char *end = data + length;

	while (data < end && !search->is_over) {
		if (search->is_matching) {
			feed_byte(search, *data++);
			continue;
		}
		data = memchr(data, '\n', (size_t)(end - data));
		if (data == NULL)
			break;
		feed_byte(search, *data++);
	}
	return search->is_over;
}

bool
trace_search_end(struct trace_search *search)
{
	if (!search->is_over)
		end_line(search);
	return search->is_found;
}
