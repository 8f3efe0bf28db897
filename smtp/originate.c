/* SPDX-License-Identifier: ISC */
/* What a submission server does to the header of a message. */
#include "smtp/originate.h"

#include <string.h>
#include <strings.h>

#include "base/clock.h"

enum kind { KIND_OTHER, KIND_DROPPED, KIND_ADDRESSES };

enum found {
	FOUND_DATE = 1,
	FOUND_ID = 2,
	FOUND_FROM = 4,
	FOUND_TO = 8, /* or Cc */
	FOUND_SENDER = 16
};

static const struct field_row {
	const char *name;
	enum kind kind;
	unsigned found;
} field_rows[] = {
	{ "Date", KIND_OTHER, FOUND_DATE },
	{ "Message-ID", KIND_OTHER, FOUND_ID },
	{ "From", KIND_ADDRESSES, FOUND_FROM },
	{ "Sender", KIND_ADDRESSES, FOUND_SENDER },
	{ "Reply-To", KIND_ADDRESSES, 0 },
	{ "To", KIND_ADDRESSES, FOUND_TO },
	{ "Cc", KIND_ADDRESSES, FOUND_TO },
	{ "Resent-From", KIND_ADDRESSES, 0 },
	{ "Resent-Sender", KIND_ADDRESSES, 0 },
	{ "Resent-Reply-To", KIND_ADDRESSES, 0 },
	{ "Resent-To", KIND_ADDRESSES, 0 },
	{ "Resent-Cc", KIND_ADDRESSES, 0 },
	{ "Mail-Followup-To", KIND_ADDRESSES, 0 },
	{ "Mail-Reply-To", KIND_ADDRESSES, 0 },
	{ "Errors-To", KIND_ADDRESSES, 0 },
	{ "Return-Receipt-To", KIND_ADDRESSES, 0 },
	{ "Disposition-Notification-To", KIND_ADDRESSES, 0 },
	{ "Bcc", KIND_DROPPED, 0 },
	{ "Resent-Bcc", KIND_DROPPED, 0 },
	{ "Return-Path", KIND_DROPPED, 0 },
	{ "Content-Length", KIND_DROPPED, 0 },
};

/* An address list while it is read. */
struct list {
	const struct originate_options *options;
	struct buf *buf;
	bool is_in_angle;
	bool is_over;   /* the address had angles, which were closed */
	bool has_at;    /* what comes is a domain */
	unsigned words; /* before the "@" */
	size_t word_end; /* in buf, of the last one */
	bool is_adjoining; /* ... and nothing is between */
};

void
originate_init(struct originate *originate,
    const struct originate_options *options,
    void (*emit)(void *context, const char *data, size_t length), void *context)
{
	*originate = (struct originate){
		.options = *options,
		.field = BUF_INIT,
		.authors = BUF_INIT,
		.emit = emit,
		.context = context,
	};
}

void
originate_release(struct originate *originate)
{
	buf_release(&originate->field);
	buf_release(&originate->authors);
}

static bool
is_special(char c)
{
	return strchr("()<>[]:;@,\" \t\r\n", c) != NULL;
}

/* Behind a comment, a quoted string or a literal, which may be cut short. */
static const char *
skip_enclosed(const char *at, const char *end)
{
	char close = *at == '(' ? ')' : *at == '[' ? ']' : '"';
	unsigned depth = 1;

	for (at++; at < end && depth > 0; at++) {
		if (*at == '\\' && at + 1 < end)
			at++;
		else if (*at == close)
			depth--;
		else if (close == ')' && *at == '(')
			depth++;
	}
	return at;
}

static void
insert(struct buf *buf, size_t offset, const char *mark, const char *text)
{
	struct buf tail = BUF_INIT;

	buf_add(&tail, buf->data + offset, buf->length - offset);
	buf_cut(buf, offset);
	buf_adds(buf, mark);
	buf_adds(buf, text);
	buf_add(buf, tail.data, tail.length);
	buf_release(&tail);
}

/* An address is over: one word alone is a mailbox of the default host. */
static void
end_address(struct list *list)
{
	if (list->words == 1 && !list->has_at && !list->is_over)
		insert(list->buf, list->word_end, "@", list->options->host);
	list->words = 0;
	list->has_at = false;
}

static void
take_mark(struct list *list, char c)
{
	switch (c) {
	case '<':
		list->is_in_angle = true;
		list->is_over = list->has_at = false;
		list->words = 0;
		break;
	case '>':
		end_address(list);
		list->is_in_angle = false;
		list->is_over = true;
		break;
	case '@':
		list->has_at = true;
		break;
	case ':': /* behind a group's name, or a route */
		list->words = 0;
		list->has_at = false;
		break;
	case ',':
	case ';':
		if (list->is_in_angle)
			break;
		end_address(list);
		list->is_over = false;
		break;
	}
	buf_addc(list->buf, c);
	list->is_adjoining = false;
}

static void
take_word(struct list *list, const char *word, size_t length)
{
	const char *domain = list->options->domain;

	buf_add(list->buf, word, length);
	if (!list->has_at) {
		if (!list->is_adjoining)
			list->words++;
		list->word_end = list->buf->length;
		list->is_adjoining = true;
		return;
	}
	if (domain[0] != '\0' && *word != '[' &&
	    memchr(word, '.', length) == NULL) {
		buf_addc(list->buf, '.');
		buf_adds(list->buf, domain);
	}
}

void
originate_put_addresses(struct buf *buf, const char *text, size_t length,
    const struct originate_options *options)
{
	struct list list = { .options = options, .buf = buf };
	const char *at = text, *end = text + length, *start;

	while (at < end) {
		start = at;
		switch (*at) {
		case ' ':
		case '\t':
		case '\r':
		case '\n':
			buf_addc(buf, *at++);
			list.is_adjoining = false;
			break;
		case '(':
			at = skip_enclosed(at, end);
			buf_add(buf, start, (size_t)(at - start));
			list.is_adjoining = false;
			break;
		case '"':
		case '[':
			at = skip_enclosed(at, end);
			take_word(&list, start, (size_t)(at - start));
			break;
		case '<':
		case '>':
		case '@':
		case ':':
		case ';':
		case ',':
			/* The end of an address is found in what was put. */
			take_mark(&list, *at++);
			break;
		default:
			do
				at++;
			while (at < end && *at != '\0' && !is_special(*at));
			take_word(&list, start, (size_t)(at - start));
			break;
		}
	}
	end_address(&list);
}

/* The length of a field's name, when a colon is behind it (RFC 5322 2.2). */
static size_t
name_length(const char *line, size_t length)
{
	size_t i = 0, end;

	while (i < length && line[i] > ' ' && line[i] < 127 && line[i] != ':')
		i++;
	end = i;
	while (i < length && (line[i] == ' ' || line[i] == '\t'))
		i++;
	return i < length && line[i] == ':' ? end : 0;
}

static const struct field_row *
find_field(const char *name, size_t length)
{
	for (size_t i = 0; i < sizeof(field_rows) / sizeof(field_rows[0]); i++)
		if (strlen(field_rows[i].name) == length &&
		    strncasecmp(field_rows[i].name, name, length) == 0)
			return &field_rows[i];
	return NULL;
}

static const struct field_row *
field_row_of(const struct originate *originate)
{
	const struct buf *field = &originate->field;

	return find_field(
	    field->data, name_length(field->data, field->length));
}

static void
emit_buf(struct originate *originate, const struct buf *buf)
{
	if (buf->length > 0)
		originate->emit(originate->context, buf->data, buf->length);
}

static void
emit_text(struct originate *originate, const char *text)
{
	originate->emit(originate->context, text, strlen(text));
}

/* text: a field's list; NULL: one that is too long. */
static void
keep_authors(struct originate *originate, const char *text, size_t length)
{
	struct buf *authors = &originate->authors;

	if (!originate->options.keeps_authors)
		return;
	if (text == NULL || authors->length + length > ORIGINATE_FIELD_MAX) {
		originate->are_authors_long = true;
		return;
	}
	buf_add(authors, text, length);
	buf_addc(authors, '\0');
}

/* Its text has no line end where a line is cut short. */
static void
emit_addresses(struct originate *originate, bool is_author)
{
	const struct buf *field = &originate->field;
	const char *colon = memchr(field->data, ':', field->length);
	size_t name = (size_t)(colon + 1 - field->data);
	size_t length = field->length;
	struct buf buf = BUF_INIT;

	while (length > name && field->data[length - 1] == '\n')
		length--;
	buf_add(&buf, field->data, name);
	originate_put_addresses(
	    &buf, field->data + name, length - name, &originate->options);
	if (is_author)
		keep_authors(originate, buf.data + name, buf.length - name);
	buf_add(&buf, field->data + length, field->length - length);
	emit_buf(originate, &buf);
	buf_release(&buf);
}

/* The field is there as a whole, or what was kept of it is too long. */
static void
flush_field(struct originate *originate, bool is_whole)
{
	const struct field_row *row = field_row_of(originate);
	bool is_author = row != NULL &&
	    (row->found & (FOUND_FROM | FOUND_SENDER)) != 0;

	if (originate->field.length == 0)
		return;
	if (is_author && !is_whole)
		keep_authors(originate, NULL, 0);
	if (row != NULL)
		originate->found |= row->found;
	originate->is_dropped = row != NULL && row->kind == KIND_DROPPED;
	if (row != NULL && row->kind == KIND_ADDRESSES && is_whole)
		emit_addresses(originate, is_author);
	else if (!originate->is_dropped)
		emit_buf(originate, &originate->field);
	buf_reset(&originate->field);
}

static void
add_missing(struct originate *originate)
{
	const struct originate_options *options = &originate->options;
	char date[CLOCK_DATE_SIZE];
	struct buf buf = BUF_INIT;

	clock_date(options->when, date);
	if ((originate->found & FOUND_DATE) == 0)
		buf_addf(&buf, "Date: %s\n", date);
	if ((originate->found & FOUND_ID) == 0)
		buf_addf(
		    &buf, "Message-ID: <%s@%s>\n", options->id, options->me);
	if ((originate->found & FOUND_FROM) == 0 && options->from[0] != '\0')
		buf_addf(&buf, "From: <%s>\n", options->from);
	if ((originate->found & FOUND_TO) == 0)
		buf_adds(&buf, "Cc: recipient list not shown: ;\n");
	emit_buf(originate, &buf);
	buf_release(&buf);
}

static void
end_header(struct originate *originate)
{
	add_missing(originate);
	originate->is_in_body = true;
}

/* The first line of what may be a field, through its line end or cut there. */
static void
judge_first_line(struct originate *originate)
{
	struct buf *field = &originate->field;
	/* A line that a mailbox file has before a message. */
	bool is_mbox = field->length > 5 &&
	    (strncmp(field->data, "From ", 5) == 0 ||
		strncmp(field->data, ">From", 5) == 0);

	originate->is_first_line = false;
	if (is_mbox && originate->found == 0 &&
	    name_length(field->data, field->length) == 0) {
		buf_reset(field);
		return;
	}
	if (name_length(field->data, field->length) > 0)
		return;
	end_header(originate);
	if (field->data[0] != '\n')
		emit_text(originate, "\n");
	emit_buf(originate, field);
	buf_reset(field);
}

/* Bytes of one line of the header, or the whole of it. */
static void
read_line(struct originate *originate, const char *data, size_t length)
{
	struct buf *field = &originate->field;

	if (!originate->is_in_line) {
		bool goes_on = (*data == ' ' || *data == '\t') &&
		    (field->length > 0 || originate->is_long);

		if (!goes_on) {
			flush_field(originate, true);
			originate->is_long = originate->is_dropped = false;
			originate->is_first_line = true;
		}
	}
	originate->is_in_line = data[length - 1] != '\n';
	if (originate->is_long) {
		if (!originate->is_dropped)
			originate->emit(originate->context, data, length);
		return;
	}
	buf_add(field, data, length);
	if (originate->is_first_line &&
	    (!originate->is_in_line || field->length > ORIGINATE_FIELD_MAX))
		judge_first_line(originate);
	if (!originate->is_in_body && field->length > ORIGINATE_FIELD_MAX) {
		originate->is_long = true;
		flush_field(originate, false);
	}
}

void
originate_read(struct originate *originate, const char *data, size_t length)
{
	while (length > 0 && !originate->is_in_body) {
		const char *end = memchr(data, '\n', length);
		size_t used = end == NULL ? length : (size_t)(end + 1 - data);

		read_line(originate, data, used);
		data += used;
		length -= used;
	}
	if (length > 0)
		originate->emit(originate->context, data, length);
}

void
originate_finish(struct originate *originate)
{
	if (originate->is_in_body)
		return;
	if (originate->is_first_line && originate->field.length > 0) {
		/* It was cut short: is it a field at all? */
		judge_first_line(originate);
		if (originate->is_in_body)
			return;
	}
	if (originate->is_in_line && originate->field.length > 0)
		buf_addc(&originate->field, '\n');
	flush_field(originate, true);
	end_header(originate);
}
