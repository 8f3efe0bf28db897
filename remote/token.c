/* SPDX-License-Identifier: ISC */
/* The token of XOAUTH2 credentials. */
#include "remote/token.h"

#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/vars.h"
#include "remote/output.h"

enum { PROGRAM_MS = 30 * 1000 };

bool
token_is_elsewhere(const struct session_credentials *credentials)
{
	return credentials->mechanism != NULL &&
	    strcmp(credentials->mechanism, "XOAUTH2") == 0 &&
	    (credentials->secret[0] == '/' || credentials->secret[0] == '|');
}

static int
run_program(
    const char *program, const char *user, struct buf *text, struct error *err)
{
	AUTO(mem_free) char *name = xstrdup(program);
	AUTO(mem_free) char *argument = xstrdup(user);
	char *argv[] = { name, argument, NULL };
	const struct vars none = VARS_INIT;
	char **environment = vars_make_environment(&none);
	const struct output_run run = { .argv = argv,
		.environment = environment,
		.input_fd = -1,
		.output_max = TOKEN_SIZE,
		.timeout_ms = PROGRAM_MS };
	int result = output_of(&run, text, err);

	vars_free_environment(environment);
	return result;
}

/* RFC 6750 2.1: b64token, which is printable. */
static bool
take_first_line(const struct buf *text, char token_out[TOKEN_SIZE])
{
	size_t length = 0;

	while (length < text->length && text->data[length] > ' ' &&
	    text->data[length] < 127)
		length++;
	if (length == 0 || length >= TOKEN_SIZE ||
	    (length < text->length &&
		strchr("\r\n", text->data[length]) == NULL))
		return false;
	memcpy(token_out, text->data, length);
	token_out[length] = '\0';
	return true;
}

int
token_get(const struct session_credentials *credentials,
    char token_out[TOKEN_SIZE], struct error *err)
{
	const char *secret = credentials->secret;
	bool is_program = *secret == '|';
	AUTO(buf_release) struct buf text = BUF_INIT;
	int found = is_program
	    ? run_program(secret + 1, credentials->user, &text, err)
	    : file_read(secret, TOKEN_SIZE, &text, err);

	if (is_program && found == 0)
		found = 1;
	if (found == 0)
		return error_set(err, "there is no file '%s'", secret);
	if (found == -1)
		return -1;
	return take_first_line(&text, token_out)
	    ? 0
	    : error_set(err, "what '%s' gives is no token in one line",
		  is_program ? secret + 1 : secret);
}
