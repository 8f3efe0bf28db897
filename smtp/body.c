/* SPDX-License-Identifier: ISC */
/* From the bytes of DATA or BDAT to what is stored. */
#include "smtp/body.h"

#include <string.h>

void
smtp_body_init(struct smtp_body *body, bool is_dotted,
    void (*emit)(void *context, const char *data, size_t length), void *context)
{
	*body = (struct smtp_body){
		.state = SMTP_BODY_LINE_START,
		.is_dotted = is_dotted,
		.emit = emit,
		.context = context,
	};
	/* The line DATA ended in CRLF, so that a dot may come first. */
	memcpy(body->tail, "\r\n\r\n", sizeof(body->tail));
}

static void
emit(struct smtp_body *body, const char *from, const char *to)
{
	if (to > from)
		body->emit(body->context, from, (size_t)(to - from));
}

static void
remember_tail(struct smtp_body *body, const char *data, size_t length)
{
	const size_t size = sizeof(body->tail);

	if (length >= size) {
		memcpy(body->tail, data + length - size, size);
		return;
	}
	memmove(body->tail, body->tail + length, size - length);
	memcpy(body->tail + size - length, data, length);
}

/*
 * One step within TEXT: up to the next line end, or to the end of the bytes.
 * What is between *from and the result waits to be emitted.  A line's LF stays
 * there and goes out together with the next line.
 */
static const char *
read_text(
    struct smtp_body *body, const char **from, const char *at, const char *end)
{
	const char *newline = memchr(at, '\n', (size_t)(end - at));

	if (newline == NULL) {
		if (end[-1] == '\r') {
			emit(body, *from, end - 1);
			*from = end;
			body->state = SMTP_BODY_CR;
		}
		return end;
	}
	if (newline > at && newline[-1] == '\r') {
		emit(body, *from, newline - 1);
		*from = newline;
		body->line_ends++;
		body->state = SMTP_BODY_LINE_START;
	} else
		body->has_bare_lf = true;
	return newline + 1;
}

bool
smtp_body_read(
    struct smtp_body *body, const char *data, size_t length, size_t *used_out)
{
	const char *from = data, *at = data, *end = data + length;

	while (at < end) {
		switch (body->state) {
		case SMTP_BODY_LINE_START:
			body->state = SMTP_BODY_TEXT;
			if (*at == '.' && body->is_dotted) {
				emit(body, from, at);
				from = ++at;
				body->state = SMTP_BODY_DOT;
			}
			break;
		case SMTP_BODY_DOT:
			body->state = SMTP_BODY_TEXT;
			if (*at == '\r') {
				from = ++at;
				body->state = SMTP_BODY_DOT_CR;
			}
			break;
		case SMTP_BODY_DOT_CR:
			if (*at == '\n') {
				*used_out = (size_t)(at + 1 - data);
				return true;
			}
			__attribute__((fallthrough)); /* the CR was content */
		case SMTP_BODY_CR:
			if (*at == '\n') {
				from = at++;
				body->line_ends++;
				body->state = SMTP_BODY_LINE_START;
			} else {
				body->emit(body->context, "\r", 1);
				body->state = SMTP_BODY_TEXT;
			}
			break;
		case SMTP_BODY_TEXT:
			at = read_text(body, &from, at, end);
			break;
		}
	}
	emit(body, from, end);
	remember_tail(body, data, length);
	*used_out = length;
	return false;
}

void
smtp_body_finish(struct smtp_body *body)
{
	if (body->state == SMTP_BODY_CR)
		body->emit(body->context, "\r", 1);
	body->state = SMTP_BODY_TEXT;
}

bool
smtp_body_looks_ended(const struct smtp_body *body)
{
	return memcmp(body->tail + 1, "\n.\n", 3) == 0 ||
	    memcmp(body->tail, "\n.\r\n", 4) == 0;
}
