/* SPDX-License-Identifier: ISC */
/*
 * A line of a POP3 client (RFC 1939 3):
 *
 *	command = keyword *( SP argument ) CRLF
 *
 * A bare LF ends it too.  The argument of PASS may have blanks in it, so what
 * follows the first blank is kept as it is.
 */
#ifndef POP3_COMMAND_H
#define POP3_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* With its CRLF: AUTH may bring a whole answer of SASL (RFC 5034 4). */
enum { POP3_LINE_MAX = 8192 };

struct pop3_command {
	char verb[16];                /* upper case */
	bool has_argument;            /* there was a blank behind the verb */
	char argument[POP3_LINE_MAX]; /* "" if not */
};

/* Of at most POP3_LINE_MAX bytes.  False when it is none: then it is wiped. */
bool pop3_command_parse(
    const char *line, size_t length, struct pop3_command *command_out);

/*
 * One number, or two (the second may be 0), in the argument, with blanks around
 * them; nothing else.
 */
bool pop3_argument_number(const char *argument, uint64_t *number_out);
bool pop3_argument_numbers(
    const char *argument, uint64_t *first_out, uint64_t *second_out);

#endif
