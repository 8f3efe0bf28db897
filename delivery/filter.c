/* SPDX-License-Identifier: ISC */
/* A user's filters. */
#include "delivery/filter.h"

#include <regex.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const field_names[] = {
#define FILTER_HEADER(name) name,
#include "delivery/filter_headers.tbl"
#undef FILTER_HEADER
};

static const char *const comparison_names[FILTER_COMPARISONS] = {
	[FILTER_EQUALS] = "Equals",
	[FILTER_CONTAINS] = "Contains",
	[FILTER_CONTAINS_NOT] = "Does not contain",
	[FILTER_STARTS] = "Starts with",
	[FILTER_ENDS] = "Ends with",
	[FILTER_STRANGER] = "Sender not in Address Book",
	[FILTER_NOT_TO_ME] = "My Email ID not present in To, Cc, Bcc",
	[FILTER_NUMBER] = "Numerical or Logical Expression",
	[FILTER_REGEX] = "RegExp",
};

const char *
filter_header_name(int number)
{
	size_t count = sizeof(field_names) / sizeof(field_names[0]);

	return number >= 0 && (size_t)number < count ? field_names[number]
						     : NULL;
}

const char *
filter_comparison_name(int number)
{
	return number >= 0 && number < FILTER_COMPARISONS
	    ? comparison_names[number]
	    : NULL;
}

/* "%p > 5", "> 5": the field's first number against that one. */
static bool
meets_number(const char *value, const char *expression)
{
	static const char *const signs[] = { "<=", ">=", "==", "!=", "<", ">",
		"=" };
	const char *digits = value + strcspn(value, "0123456789");
	double number, other;
	size_t i;
	char *end;

	if (digits > value && digits[-1] == '-')
		digits--;
	number = strtod(digits, &end);
	if (end == digits)
		return false;
	expression += strspn(expression, " ");
	if (strncmp(expression, "%p", 2) == 0)
		expression += 2;
	expression += strspn(expression, " ");
	for (i = 0; i < 7; i++)
		if (strncmp(expression, signs[i], strlen(signs[i])) == 0)
			break;
	if (i == 7)
		return false;
	expression += strlen(signs[i]);
	other = strtod(expression, &end);
	if (end == expression)
		return false;
	switch (i) {
	case 0:
		return number <= other;
	case 1:
		return number >= other;
	case 3:
		return !(number >= other && number <= other);
	case 4:
		return number < other;
	case 5:
		return number > other;
	}
	return number >= other && number <= other;
}

static bool
meets_regex(const char *value, const char *keyword)
{
	regex_t regex;
	bool is_met;

	if (regcomp(&regex, keyword, REG_EXTENDED | REG_ICASE | REG_NOSUB) != 0)
		return false;
	is_met = regexec(&regex, value, 0, NULL, 0) == 0;
	regfree(&regex);
	return is_met;
}

static bool
meets_value(const char *value, int comparison, const char *keyword)
{
	size_t length = strlen(value), wanted = strlen(keyword);

	switch (comparison) {
	case FILTER_EQUALS:
		return strcasecmp(value, keyword) == 0;
	case FILTER_CONTAINS:
	case FILTER_CONTAINS_NOT:
		return strcasestr(value, keyword) != NULL;
	case FILTER_STARTS:
		return strncasecmp(value, keyword, wanted) == 0;
	case FILTER_ENDS:
		return wanted <= length &&
		    strcasecmp(value + length - wanted, keyword) == 0;
	case FILTER_NUMBER:
		return meets_number(value, keyword);
	case FILTER_REGEX:
		return meets_regex(value, keyword);
	}
	return false;
}

/* The envelope's sender is what Return-Path will be. */
static bool
meets_field(const struct filter_message *message, const char *name,
    int comparison, const char *keyword)
{
	const char *value = NULL;

	if (strcasecmp(name, "Return-Path") == 0)
		return meets_value(message->sender, comparison, keyword);
	while ((value = header_next(message->header, name, value)) != NULL)
		if (meets_value(value, comparison, keyword))
			return true;
	return false;
}

static bool
is_to_me(const struct filter_message *message)
{
	static const char *const names[] = { "To", "Cc", "Bcc", "Resent-To",
		"Resent-Cc", "Resent-Bcc" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		for (size_t j = 0; message->addresses[j] != NULL; j++)
			if (header_names(message->header, names[i],
				message->addresses[j]))
				return true;
	return false;
}

static bool
is_met(const struct filter_message *message, const struct store_filter *filter)
{
	const char *name = filter_header_name(filter->header);

	if (filter->comparison == FILTER_NOT_TO_ME)
		return !is_to_me(message);
	/* Nothing contains "" by intent: a filter without a keyword. */
	if (name == NULL || *filter->keyword == '\0')
		return false;
	if (filter->comparison == FILTER_CONTAINS_NOT)
		return !meets_field(
		    message, name, FILTER_CONTAINS, filter->keyword);
	return meets_field(message, name, filter->comparison, filter->keyword);
}

const struct store_filter *
filter_find(
    const struct store_filters *filters, const struct filter_message *message)
{
	for (size_t i = 0; i < filters->count; i++)
		if (is_met(message, &filters->items[i]))
			return &filters->items[i];
	return NULL;
}
