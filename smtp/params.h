/* SPDX-License-Identifier: ISC */
/* One command line, and the parameters of MAIL and RCPT (RFC 5321 4.1.2). */
#ifndef SMTP_PARAMS_H
#define SMTP_PARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/uuid.h"
#include "queue/dsn.h"

/* Both point into the line; neither has a '\0' behind it. */
struct smtp_line {
	const char *verb;
	size_t verb_length;
	const char *argument; /* without blanks at both ends */
	size_t argument_length;
};

/*
 * Splits a line that ends in LF or CRLF.  False when it holds a control
 * character or begins with no verb (letters).
 */
bool smtp_line_parse(
    const char *text, size_t length, struct smtp_line *line_out);

bool smtp_word_is(const char *text, size_t length, const char *word);

enum smtp_params_result {
	SMTP_PARAMS_OK,
	SMTP_PARAMS_SYNTAX,
	SMTP_PARAMS_UNKNOWN /* well-formed, but of no extension we offer */
};

struct smtp_mail_params {
	bool has_size;
	uint64_t size_bytes; /* UINT64_MAX for anything larger, too */
	bool is_utf8;        /* SMTPUTF8 */
	bool has_auth;       /* AUTH=, whose value nobody here goes by */
	/* XUUID= and XHOPS=, of another node; none and 0 without them */
	struct uuid uuid;
	unsigned hops;
	/* hold_until with HOLDUNTIL, hold_for_s with HOLDFOR (RFC 4865) */
	struct dsn_message dsn;
};

/*
 * What follows the path of MAIL.  BODY= is checked and makes no difference:
 * content is stored as it comes.  Which of the others are offered the caller
 * knows.  Texts of dsn point into text.
 */
enum smtp_params_result smtp_mail_params_parse(
    const char *text, size_t length, struct smtp_mail_params *params_out);
enum smtp_params_result smtp_rcpt_params_parse(
    const char *text, size_t length, struct dsn_recipient *dsn_out);

#endif
