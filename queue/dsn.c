/* SPDX-License-Identifier: ISC */
/* What a sender wants to be told. */
#include "queue/dsn.h"

#include <string.h>
#include <strings.h>

#include "base/scan.h"

static const struct {
	const char *word;
	enum dsn_notify notify;
} notify_words[] = {
	{ "NEVER", DSN_NEVER },
	{ "SUCCESS", DSN_SUCCESS },
	{ "FAILURE", DSN_FAILURE },
	{ "DELAY", DSN_DELAY },
};

enum { NOTIFY_COUNT = sizeof(notify_words) / sizeof(notify_words[0]) };

static bool
is_word(const char *text, size_t length, const char *word)
{
	return strlen(word) == length && strncasecmp(text, word, length) == 0;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool
is_hexchar(const char *text, size_t left)
{
	return left >= 3 && hex_digit(text[1]) != -1 &&
	    hex_digit(text[2]) != -1;
}

/*
 * RFC 3461 4: xtext = *(xchar / hexchar), xchar = %d33-42 / %d44-60 / %d62-126,
 * hexchar = "+" 2(digit / "A"-"F").
 */
static bool
is_xtext(const char *text, size_t length)
{
	size_t i;

	for (i = 0; i < length; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c <= ' ' || c == '=' || c > 126)
			return false;
		if (c != '+')
			continue;
		if (!is_hexchar(text + i, length - i))
			return false;
		i += 2;
	}
	return true;
}

/* RFC 5322 3.2.3, of an address type. */
static bool
is_atom(const char *text, size_t length)
{
	size_t i;

	for (i = 0; i < length; i++)
		if (text[i] <= ' ' || text[i] == 127 ||
		    strchr("()<>@,;:\\\".[]+=", text[i]) != NULL)
			return false;
	return length > 0;
}

bool
dsn_set_ret(struct dsn_message *message, const char *value, size_t length)
{
	if (message->has_ret || value == NULL)
		return false;
	message->has_ret = true;
	message->is_headers_only = is_word(value, length, "HDRS");
	return message->is_headers_only || is_word(value, length, "FULL");
}

bool
dsn_set_envid(struct dsn_message *message, const char *value, size_t length)
{
	if (message->envid != NULL || value == NULL || length == 0 ||
	    length > DSN_ENVID_MAX || !is_xtext(value, length))
		return false;
	message->envid = value;
	message->envid_length = length;
	return true;
}

static bool
add_notify(unsigned *notify, const char *word, size_t length)
{
	size_t i;

	for (i = 0; i < NOTIFY_COUNT; i++)
		if (is_word(word, length, notify_words[i].word)) {
			*notify |= notify_words[i].notify;
			return true;
		}
	return false;
}

bool
dsn_set_notify(
    struct dsn_recipient *recipient, const char *value, size_t length)
{
	const char *end;
	unsigned notify = 0;

	if (recipient->notify != 0 || value == NULL)
		return false;
	end = value + length;
	for (;;) {
		const char *comma = memchr(value, ',', (size_t)(end - value));
		const char *next = comma == NULL ? end : comma;

		if (!add_notify(&notify, value, (size_t)(next - value)))
			return false;
		if (comma == NULL)
			break;
		value = comma + 1;
	}
	if ((notify & DSN_NEVER) != 0 && notify != DSN_NEVER)
		return false;
	recipient->notify = notify;
	return true;
}

bool
dsn_set_orcpt(struct dsn_recipient *recipient, const char *value, size_t length)
{
	const char *semicolon;
	size_t type, rest;

	if (recipient->orcpt != NULL || value == NULL || length > DSN_ORCPT_MAX)
		return false;
	semicolon = memchr(value, ';', length);
	if (semicolon == NULL)
		return false;
	type = (size_t)(semicolon - value);
	rest = length - type - 1;
	if (!is_atom(value, type) || rest == 0 ||
	    !is_xtext(semicolon + 1, rest))
		return false;
	recipient->orcpt = value;
	recipient->orcpt_length = length;
	return true;
}

void
dsn_put_message(struct buf *buf, const struct dsn_message *message)
{
	if (message->has_ret)
		buf_adds(
		    buf, message->is_headers_only ? " RET=HDRS" : " RET=FULL");
	if (message->envid != NULL) {
		buf_adds(buf, " ENVID=");
		buf_add(buf, message->envid, message->envid_length);
	}
	if (message->needs_tls)
		buf_adds(buf, " REQUIRETLS");
	if (message->waives_tls)
		buf_adds(buf, " TLS-REQUIRED=NO");
	if (message->hold_until > 0)
		buf_addf(buf, " HOLD=%lld", (long long)message->hold_until);
	if (message->hold_until > 0 && message->hold_for_s > 0)
		buf_addf(buf, "/%u", message->hold_for_s);
}

void
dsn_put_recipient(struct buf *buf, const struct dsn_recipient *recipient)
{
	const char *before = " NOTIFY=";
	size_t i;

	for (i = 0; i < NOTIFY_COUNT; i++)
		if ((recipient->notify & notify_words[i].notify) != 0) {
			buf_addf(buf, "%s%s", before, notify_words[i].word);
			before = ",";
		}
	if (recipient->orcpt != NULL) {
		buf_adds(buf, " ORCPT=");
		buf_add(buf, recipient->orcpt, recipient->orcpt_length);
	}
}

/*
 * The next " NAME" or " NAME=value" of a text: 1, with the value's length 0 for
 * the first of them; 0 at the end; -1 when there is something else.
 */
static int
next_word(const char **at, const char **name, size_t *name_length,
    const char **value, size_t *value_length)
{
	size_t length;
	const char *equals;

	if (**at == '\0')
		return 0;
	if (**at != ' ')
		return -1;
	*name = ++*at;
	length = strcspn(*at, " ");
	equals = memchr(*at, '=', length);
	*name_length = equals == NULL ? length : (size_t)(equals - *name);
	*value = *name + *name_length + (equals != NULL);
	*value_length = length - (size_t)(*value - *name);
	*at += length;
	return 1;
}

/* time ["/" seconds] */
static bool
get_hold(struct dsn_message *message, const char *value, size_t length)
{
	const char *slash = memchr(value, '/', length);
	size_t digits = slash == NULL ? length : (size_t)(slash - value);
	uint64_t until, seconds = 0;

	if (message->hold_until != 0 ||
	    !scan_u64n(value, digits, INT64_MAX / 2, &until) || until == 0 ||
	    (slash != NULL &&
		(!scan_u64n(slash + 1, length - digits - 1, DSN_HOLD_MAX_S,
		     &seconds) ||
		    seconds == 0)))
		return false;
	message->hold_until = (time_t)until;
	message->hold_for_s = (unsigned)seconds;
	return true;
}

bool
dsn_get_message(const char *text, struct dsn_message *message_out)
{
	const char *name, *value;
	size_t name_length, length;
	int found;

	*message_out = (struct dsn_message){ .envid = NULL };
	while ((found = next_word(
		    &text, &name, &name_length, &value, &length)) == 1)
		if (is_word(name, name_length, "RET")) {
			if (!dsn_set_ret(message_out, value, length))
				return false;
		} else if (is_word(name, name_length, "ENVID")) {
			if (!dsn_set_envid(message_out, value, length))
				return false;
		} else if (is_word(name, name_length, "REQUIRETLS") &&
		    name[name_length] != '=')
			message_out->needs_tls = true;
		else if (is_word(name, name_length, "TLS-REQUIRED") &&
		    is_word(value, length, "NO"))
			message_out->waives_tls = true;
		else if (!is_word(name, name_length, "HOLD") ||
		    !get_hold(message_out, value, length))
			return false;
	return found == 0;
}

time_t
dsn_hold_until(const struct dsn_message *message, time_t retry_at, time_t now)
{
	/* It began in the middle of a second. */
	time_t latest = now + (time_t)message->hold_for_s + 1;

	if (message->hold_for_s == 0 || message->hold_until <= latest)
		return message->hold_until;
	return retry_at > 0 && retry_at < latest ? retry_at : latest;
}

bool
dsn_get_recipient(const char *text, struct dsn_recipient *recipient_out)
{
	const char *name, *value;
	size_t name_length, length;
	int found;

	*recipient_out = (struct dsn_recipient){ .orcpt = NULL };
	while ((found = next_word(
		    &text, &name, &name_length, &value, &length)) == 1)
		if (is_word(name, name_length, "NOTIFY")) {
			if (!dsn_set_notify(recipient_out, value, length))
				return false;
		} else if (!is_word(name, name_length, "ORCPT") ||
		    !dsn_set_orcpt(recipient_out, value, length))
			return false;
	return found == 0;
}

void
dsn_put_decoded(struct buf *buf, const char *xtext, size_t length)
{
	size_t i;

	for (i = 0; i < length; i++) {
		unsigned char c = (unsigned char)xtext[i];

		if (c == '+' && is_hexchar(xtext + i, length - i)) {
			c = (unsigned char)(hex_digit(xtext[i + 1]) * 16 +
			    hex_digit(xtext[i + 2]));
			i += 2;
			if (c > 126)
				c = '?';
		}
		buf_addc(buf, c < ' ' || c == 127 ? '?' : (char)c);
	}
}
