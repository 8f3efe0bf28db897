/* SPDX-License-Identifier: ISC */
/* Which message, queue and delivery a log line is about. */
#include "svctool/show/log_fields.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A number at *text_in, which then is behind it; 0 when there is none. */
static uint64_t
take_number(const char **text_in)
{
	char *end;
	uint64_t number;

	if (!isdigit((unsigned char)**text_in))
		return 0;
	number = strtoull(*text_in, &end, 10);
	*text_in = end;
	return number;
}

/* Does text begin so?  Then it is behind that. */
static bool
take_word(const char **text, const char *word)
{
	size_t length = strlen(word);

	if (strncmp(*text, word, length) != 0)
		return false;
	*text += length;
	return true;
}

/* Lines with fields end with words of ours: behind the last '>'. */
static const char *
find_tail(const char *text)
{
	const char *last = strrchr(text, '>');

	return last == NULL ? "" : last + 1;
}

static void
read_uuid(const char *tail, const char *word, struct uuid *uuid_out)
{
	const char *at = strstr(tail, word);

	if (at != NULL)
		uuid_parse(at + strlen(word), uuid_out);
}

static void
read_session(const char *text, struct log_fields *fields)
{
	const char *tail = find_tail(text), *queue = strstr(tail, " queue ");
	size_t length;

	read_uuid(tail, " id ", &fields->uuid);
	if (queue == NULL)
		return;
	queue += strlen(" queue ");
	length = strcspn(queue, " ");
	if (length >= sizeof(fields->queue))
		return;
	memcpy(fields->queue, queue, length);
	fields->queue[length] = '\0';
	queue += length;
	if (take_word(&queue, " msg "))
		fields->message = take_number(&queue);
}

void
log_fields_read(
    const char *service, const char *text, struct log_fields *fields_out)
{
	static const struct {
		const char *front;
		enum log_kind kind;
	} kinds[] = {
		{ "new msg ", LOG_KIND_NEW },
		{ "info msg ", LOG_KIND_INFO },
		{ "starting delivery ", LOG_KIND_START },
		{ "delivery ", LOG_KIND_RESULT },
		{ "end msg ", LOG_KIND_END },
		{ "bounce msg ", LOG_KIND_OTHER },
		{ "wait msg ", LOG_KIND_OTHER },
		/* what an operator did */
		{ "hold msg ", LOG_KIND_OTHER },
		{ "release msg ", LOG_KIND_OTHER },
		{ "retry msg ", LOG_KIND_OTHER },
		{ "delete msg ", LOG_KIND_OTHER },
		{ "forget msg ", LOG_KIND_OTHER },
		{ "running", LOG_KIND_RUNNING },
		{ "qmail-rspawn: refused ", LOG_KIND_REFUSED },
		{ "qmail-smtpd: pid ", LOG_KIND_SESSION },
	};
	struct log_fields *fields = fields_out;
	const char *at = text;
	size_t i = 0, count = sizeof(kinds) / sizeof(kinds[0]);

	*fields = (struct log_fields){ .kind = LOG_KIND_OTHER };
	while (i < count && !take_word(&at, kinds[i].front))
		i++;
	if (i == count || (kinds[i].kind == LOG_KIND_RUNNING && *at != '\0'))
		return;
	fields->kind = kinds[i].kind;
	if (fields->kind == LOG_KIND_SESSION) {
		read_session(at, fields);
		return;
	}
	if (fields->kind == LOG_KIND_REFUSED) {
		uuid_parse(at, &fields->uuid);
		return;
	}
	snprintf(fields->queue, sizeof(fields->queue), "%s", service);
	if (fields->kind == LOG_KIND_START || fields->kind == LOG_KIND_RESULT)
		fields->delivery = take_number(&at);
	else
		fields->message = take_number(&at);
	if (fields->kind == LOG_KIND_START && take_word(&at, ": msg "))
		fields->message = take_number(&at);
	if (fields->kind == LOG_KIND_INFO)
		read_uuid(find_tail(at), " uuid ", &fields->uuid);
}

bool
log_fields_has_number(const char *text, uint64_t number)
{
	const char *at = text;

	if (!take_word(&at, "alert: ") && !take_word(&at, "warning: ") &&
	    !take_word(&at, "double bounce: ") &&
	    !take_word(&at, "triple bounce: "))
		return false;
	while (*at != '\0')
		if (!isalnum((unsigned char)*at))
			at++;
		else {
			size_t length = 0;

			while (isalnum((unsigned char)at[length]))
				length++;
			if (strspn(at, "0123456789") >= length &&
			    strtoull(at, NULL, 10) == number)
				return true;
			at += length;
		}
	return false;
}

static bool
is_same(const char *text, size_t length, const char *address)
{
	return strlen(address) == length &&
	    strncasecmp(text, address, length) == 0;
}

bool
log_fields_has_address(
    const char *text, enum log_kind kind, const char *address)
{
	const char *at = text, *end;
	size_t length = strlen(address);

	while ((at = strchr(at, '<')) != NULL) {
		end = strchr(++at, '>');
		if (end == NULL)
			break;
		if (is_same(at, (size_t)(end - at), address))
			return true;
	}
	if (kind != LOG_KIND_START || length == 0)
		return false;
	at = strrchr(text, ' ') + 1; /* a START line has blanks */
	if (strlen(at) < length)
		return false;
	end = at + strlen(at) - length;
	return strcasecmp(end, address) == 0 && (end == at || end[-1] == '-');
}
