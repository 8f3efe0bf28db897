/* SPDX-License-Identifier: ISC */
/* A line of a POP3 client. */
#include "pop3/command.h"

#include <string.h>

#include "base/scan.h"

static size_t
cut_line_end(const char *line, size_t length)
{
	if (length > 0 && line[length - 1] == '\n')
		length--;
	if (length > 0 && line[length - 1] == '\r')
		length--;
	return length;
}

static bool
is_verb(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if ((text[i] < 'A' || text[i] > 'Z') &&
		    (text[i] < 'a' || text[i] > 'z') &&
		    (text[i] < '0' || text[i] > '9'))
			return false;
	return length > 0;
}

bool
pop3_command_parse(
    const char *line, size_t length, struct pop3_command *command_out)
{
	size_t verb_length = 0, i;

	explicit_bzero(command_out, sizeof(*command_out));
	length = cut_line_end(line, length);
	if (length >= sizeof(command_out->argument) ||
	    memchr(line, '\0', length) != NULL)
		return false;
	while (verb_length < length && line[verb_length] != ' ')
		verb_length++;
	if (verb_length >= sizeof(command_out->verb) ||
	    !is_verb(line, verb_length))
		return false;
	for (i = 0; i < verb_length; i++)
		command_out->verb[i] = line[i] >= 'a' ? (char)(line[i] - 32)
						      : line[i];
	if (verb_length < length) {
		command_out->has_argument = true;
		memcpy(command_out->argument, line + verb_length + 1,
		    length - verb_length - 1);
	}
	return true;
}

/* The number at *text, which then is behind it and the blanks that follow. */
static bool
take_number(const char **text, uint64_t *number_out)
{
	const char *start = *text + strspn(*text, " ");
	size_t length = strcspn(start, " ");

	*text = start + length + strspn(start + length, " ");
	return scan_u64n(start, length, UINT32_MAX, number_out);
}

bool
pop3_argument_number(const char *argument, uint64_t *number_out)
{
	return take_number(&argument, number_out) && *argument == '\0';
}

bool
pop3_argument_numbers(
    const char *argument, uint64_t *first_out, uint64_t *second_out)
{
	return take_number(&argument, first_out) &&
	    take_number(&argument, second_out) && *argument == '\0';
}
