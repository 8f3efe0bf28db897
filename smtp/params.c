/* SPDX-License-Identifier: ISC */
/*
 * One command line, and its parameters.  RFC 5321 4.1.2:
 *
 *	esmtp-param   = esmtp-keyword ["=" esmtp-value]
 *	esmtp-keyword = (ALPHA / DIGIT) *(ALPHA / DIGIT / "-")
 *	esmtp-value   = 1*(%d33-60 / %d62-126)
 */
#include "smtp/params.h"

#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/scan.h"

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool
smtp_line_parse(const char *text, size_t length, struct smtp_line *line_out)
{
	const char *end = text + length, *at;

	if (end > text && end[-1] == '\n')
		end--;
	if (end > text && end[-1] == '\r')
		end--;
	for (at = text; at < end; at++)
		if (((unsigned char)*at < ' ' && *at != '\t') || *at == 127)
			return false;
	while (end > text && is_blank(end[-1]))
		end--;
	for (at = text; at < end && is_letter(*at); at++)
		;
	if (at == text || (at < end && !is_blank(*at)))
		return false;
	line_out->verb = text;
	line_out->verb_length = (size_t)(at - text);
	while (at < end && is_blank(*at))
		at++;
	line_out->argument = at;
	line_out->argument_length = (size_t)(end - at);
	return true;
}

bool
smtp_word_is(const char *text, size_t length, const char *word)
{
	return strlen(word) == length && strncasecmp(text, word, length) == 0;
}

struct param {
	const char *name, *value; /* value NULL without "=" */
	size_t name_length, value_length;
};

/* 1 and the next parameter, 0 at the end, -1 when it is malformed. */
static int
next_param(const char **at_inout, const char *end, struct param *param)
{
	const char *at = *at_inout;

	if (at < end && !is_blank(*at))
		return -1;
	while (at < end && is_blank(*at))
		at++;
	if (at == end)
		return 0;
	param->name = at;
	while (at < end &&
	    (is_letter(*at) || (*at >= '0' && *at <= '9') ||
		(*at == '-' && at > param->name)))
		at++;
	param->name_length = (size_t)(at - param->name);
	param->value = NULL;
	param->value_length = 0;
	if (param->name_length > 0 && at < end && *at == '=') {
		param->value = ++at;
		while (at<end && * at> ' ' && *at != '=' && *at != 127)
			at++;
		param->value_length = (size_t)(at - param->value);
		if (param->value_length == 0)
			return -1;
	}
	*at_inout = at;
	return param->name_length > 0 ? 1 : -1;
}

/* RFC 1870 3: 1*20DIGIT. */
static bool
parse_size(const struct param *param, struct smtp_mail_params *params)
{
	size_t i;

	if (params->has_size || param->value == NULL ||
	    param->value_length > 20)
		return false;
	for (i = 0; i < param->value_length; i++)
		if (param->value[i] < '0' || param->value[i] > '9')
			return false;
	params->has_size = true;
	params->size_bytes = UINT64_MAX;
	scan_u64n(
	    param->value, param->value_length, UINT64_MAX, &params->size_bytes);
	return true;
}

/* RFC 4954 5: xtext of RFC 3461 4, which has "+" before two digits only. */
static bool
parse_auth(const struct param *param, struct smtp_mail_params *params)
{
	static const char digits[] = "0123456789ABCDEF";

	if (params->has_auth || param->value == NULL)
		return false;
	for (size_t i = 0; i < param->value_length; i++) {
		if (param->value[i] != '+')
			continue;
		if (param->value_length - i < 3 ||
		    memchr(digits, param->value[i + 1], 16) == NULL ||
		    memchr(digits, param->value[i + 2], 16) == NULL)
			return false;
	}
	params->has_auth = true;
	return true;
}

static size_t
count_digits(const char *at, const char *end)
{
	const char *start = at;

	while (at < end && *at >= '0' && *at <= '9')
		at++;
	return (size_t)(at - start);
}

/* Two digits of a date-time, and what is behind them. */
static bool
take_two(const char **at, const char *end, char behind, int max, int *value_out)
{
	uint64_t value;

	if (end - *at < 3 || (*at)[2] != behind ||
	    !scan_u64n(*at, 2, (uint64_t)max, &value))
		return false;
	*value_out = (int)value;
	*at += 3;
	return true;
}

/* RFC 3339 5.6: "Z", or how far the clock there is ahead. */
static bool
parse_offset(const char *at, const char *end, int *seconds_out)
{
	char text[7] = "";
	const char *digits = text + 1;
	int hours, minutes;

	*seconds_out = 0;
	if (end - at == 1 && (*at == 'Z' || *at == 'z'))
		return true;
	if (end - at != 6 || (*at != '+' && *at != '-'))
		return false;
	memcpy(text, at, 6);
	text[6] = '\n'; /* behind the minutes */
	if (!take_two(&digits, text + 7, ':', 23, &hours) ||
	    !take_two(&digits, text + 7, '\n', 59, &minutes))
		return false;
	*seconds_out = (hours * 60 + minutes) * (*at == '-' ? -60 : 60);
	return true;
}

/*
 * RFC 3339 5.6: date-time = 4DIGIT "-" 2DIGIT "-" 2DIGIT "T" 2DIGIT ":" 2DIGIT
 * ":" 2DIGIT ["." 1*DIGIT] ("Z" / ("+" / "-") 2DIGIT ":" 2DIGIT)
 */
static bool
parse_date_time(const char *at, size_t length, time_t *time_out)
{
	const char *end = at + length;
	struct tm tm = { .tm_isdst = 0 };
	int offset_s, day;
	uint64_t year, second;

	if (length < 20 || at[4] != '-' ||
	    !scan_u64n(at, 4, 9999, &year) || year < 1970)
		return false;
	tm.tm_year = (int)year - 1900;
	at += 5;
	if (!take_two(&at, end, '-', 12, &tm.tm_mon) ||
	    !(take_two(&at, end, 'T', 31, &tm.tm_mday) ||
		take_two(&at, end, 't', 31, &tm.tm_mday)) ||
	    !take_two(&at, end, ':', 23, &tm.tm_hour) ||
	    !take_two(&at, end, ':', 59, &tm.tm_min) || end - at < 3 ||
	    !scan_u64n(at, 2, 60, &second))
		return false;
	at += 2;
	if (*at == '.') {
		size_t digits = count_digits(++at, end);

		if (digits == 0)
			return false;
		at += digits;
	}
	if (tm.tm_mon == 0 || tm.tm_mday == 0 ||
	    !parse_offset(at, end, &offset_s))
		return false;
	tm.tm_mon--;
	day = tm.tm_mday;
	/* Seconds do not make it another day, but February 30 is one. */
	*time_out = timegm(&tm) - offset_s + (time_t)second;
	return tm.tm_mday == day;
}

/* RFC 4865 3: HOLDFOR= or HOLDUNTIL=, one of them once. */
static bool
parse_hold(const struct param *param, bool is_for, struct dsn_message *dsn)
{
	uint64_t seconds;

	if (dsn->hold_until != 0 || dsn->hold_for_s != 0 ||
	    param->value == NULL)
		return false;
	if (!is_for)
		return parse_date_time(
		    param->value, param->value_length, &dsn->hold_until);
	if (!scan_u64n(param->value, param->value_length, DSN_HOLD_MAX_S,
		&seconds) ||
	    param->value[0] == '0')
		return false;
	dsn->hold_for_s = (unsigned)seconds;
	return true;
}

/* XUUID=, a UUID in its common form. */
static bool
parse_uuid(const struct param *param, struct uuid *uuid_out)
{
	char text[UUID_TEXT_SIZE];

	if (!uuid_is_none(uuid_out) || param->value_length != sizeof(text) - 1)
		return false;
	memcpy(text, param->value, sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	return uuid_parse(text, uuid_out) && !uuid_is_none(uuid_out);
}

/* XHOPS=, from 1 on. */
static bool
parse_hops(const struct param *param, unsigned *hops_out)
{
	uint64_t hops;

	if (*hops_out != 0 || param->value == NULL ||
	    !scan_u64n(param->value, param->value_length, UINT16_MAX, &hops))
		return false;
	*hops_out = (unsigned)hops;
	return hops > 0;
}

enum smtp_params_result
smtp_mail_params_parse(
    const char *text, size_t length, struct smtp_mail_params *params_out)
{
	const char *end = text + length;
	bool has_body = false;
	struct param param;
	int found;

	memset(params_out, 0, sizeof(*params_out));
	while ((found = next_param(&text, end, &param)) == 1) {
		if (smtp_word_is(param.name, param.name_length, "SIZE")) {
			if (!parse_size(&param, params_out))
				return SMTP_PARAMS_SYNTAX;
		} else if (smtp_word_is(
			       param.name, param.name_length, "BODY")) {
			if (has_body || param.value == NULL)
				return SMTP_PARAMS_SYNTAX;
			has_body = true;
			if (!smtp_word_is(
				param.value, param.value_length, "8BITMIME") &&
			    !smtp_word_is(
				param.value, param.value_length, "7BIT"))
				return SMTP_PARAMS_UNKNOWN;
		} else if (smtp_word_is(
			       param.name, param.name_length, "SMTPUTF8")) {
			if (params_out->is_utf8 || param.value != NULL)
				return SMTP_PARAMS_SYNTAX;
			params_out->is_utf8 = true;
		} else if (smtp_word_is(
			       param.name, param.name_length, "AUTH")) {
			if (!parse_auth(&param, params_out))
				return SMTP_PARAMS_SYNTAX;
		} else if (smtp_word_is(
			       param.name, param.name_length, "XUUID")) {
			if (!parse_uuid(&param, &params_out->uuid))
				return SMTP_PARAMS_SYNTAX;
		} else if (smtp_word_is(
			       param.name, param.name_length, "XHOPS")) {
			if (!parse_hops(&param, &params_out->hops))
				return SMTP_PARAMS_SYNTAX;
		} else if (smtp_word_is(param.name, param.name_length, "RET")) {
			if (!dsn_set_ret(&params_out->dsn, param.value,
				param.value_length))
				return SMTP_PARAMS_SYNTAX;
		} else if (smtp_word_is(
			       param.name, param.name_length, "ENVID")) {
			if (!dsn_set_envid(&params_out->dsn, param.value,
				param.value_length))
				return SMTP_PARAMS_SYNTAX;
		} else if (smtp_word_is(
			       param.name, param.name_length, "REQUIRETLS")) {
			if (params_out->dsn.needs_tls || param.value != NULL)
				return SMTP_PARAMS_SYNTAX;
			params_out->dsn.needs_tls = true;
		} else if (smtp_word_is(
			       param.name, param.name_length, "HOLDFOR") ||
		    smtp_word_is(
			param.name, param.name_length, "HOLDUNTIL")) {
			if (!parse_hold(&param,
				param.name_length == strlen("HOLDFOR"),
				&params_out->dsn))
				return SMTP_PARAMS_SYNTAX;
		} else
			return SMTP_PARAMS_UNKNOWN;
	}
	return found == 0 ? SMTP_PARAMS_OK : SMTP_PARAMS_SYNTAX;
}

enum smtp_params_result
smtp_rcpt_params_parse(
    const char *text, size_t length, struct dsn_recipient *dsn_out)
{
	const char *end = text + length;
	struct param param;
	int found;

	*dsn_out = (struct dsn_recipient){ .orcpt = NULL };
	while ((found = next_param(&text, end, &param)) == 1) {
		if (smtp_word_is(param.name, param.name_length, "NOTIFY")) {
			if (!dsn_set_notify(
				dsn_out, param.value, param.value_length))
				return SMTP_PARAMS_SYNTAX;
		} else if (smtp_word_is(
			       param.name, param.name_length, "ORCPT")) {
			if (!dsn_set_orcpt(
				dsn_out, param.value, param.value_length))
				return SMTP_PARAMS_SYNTAX;
		} else
			return SMTP_PARAMS_UNKNOWN;
	}
	return found == 0 ? SMTP_PARAMS_OK : SMTP_PARAMS_SYNTAX;
}
