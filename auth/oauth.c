/* SPDX-License-Identifier: ISC */
/*
 * Bearer tokens.  RFC 7628 3.1, and XOAUTH2 without the first part:
 *
 *	client-resp = gs2-header kvsep *kvpair kvsep
 *	gs2-header  = ("n" / "y") "," [ "a=" saslname ] ","
 *	kvpair      = key "=" value kvsep
 *	kvsep       = %x01
 *
 * where XOAUTH2 has the name as a pair "user".
 */
#include "auth/oauth.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <gsasl.h>

#include "auth/checkpassword.h"
#include "base/mem.h"

enum { CHECK_MS = 30 * 1000, OAUTH_BYTES_MAX = 16 * 1024 };

/* {"status":"invalid_token"} */
const char oauth_error[] = "eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIn0=";

/* RFC 5801 4: "=2C" is a comma, "=3D" "=".  False when it is none. */
static bool
decode_saslname(char *text)
{
	char *to = text;

	for (const char *at = text; *at != '\0'; at++) {
		if (*at != '=') {
			*to++ = *at;
			continue;
		}
		if (strncasecmp(at, "=2C", 3) == 0)
			*to++ = ',';
		else if (strncasecmp(at, "=3D", 3) == 0)
			*to++ = '=';
		else
			return false;
		at += 2;
	}
	*to = '\0';
	return true;
}

/* Takes gs2-header and kvsep off; NULL when there is none. */
static const char *
read_header(const char *at, char **name_out)
{
	if ((at[0] != 'n' && at[0] != 'y') || at[1] != ',')
		return NULL;
	at += 2;
	if (strncmp(at, "a=", 2) == 0) {
		size_t length = strcspn(at + 2, ",\1");

		*name_out = xstrndup(at + 2, length);
		at += 2 + length;
		if (!decode_saslname(*name_out))
			return NULL;
	}
	return strncmp(at, ",\1", 2) == 0 ? at + 2 : NULL;
}

static void
read_pair(struct oauth_token *token, const char *pair, size_t length)
{
	static const char bearer[] = "auth=Bearer ", user[] = "user=";

	if (length > sizeof(bearer) - 1 && token->token == NULL &&
	    strncasecmp(pair, bearer, sizeof(bearer) - 1) == 0)
		token->token = xstrndup(pair + sizeof(bearer) - 1,
		    length - (sizeof(bearer) - 1));
	else if (length > sizeof(user) - 1 && token->name == NULL &&
	    strncmp(pair, user, sizeof(user) - 1) == 0)
		token->name = xstrndup(
		    pair + sizeof(user) - 1, length - (sizeof(user) - 1));
}

static bool
parse_response(struct oauth_token *token, const char *at, bool is_bearer)
{
	if (is_bearer) {
		at = read_header(at, &token->name);
		if (at == NULL)
			return false;
		if (token->name == NULL)
			token->name = xstrdup("");
	}
	while (*at != '\0' && *at != '\1') {
		size_t length = strcspn(at, "\1");

		if (at[length] == '\0')
			return false;
		read_pair(token, at, length);
		at += length + 1;
	}
	return strcmp(at, "\1") == 0 && token->token != NULL &&
	    token->name != NULL;
}

bool
oauth_token_parse(
    struct oauth_token *token_out, const char *answer, bool is_bearer)
{
	char *data = NULL, *text;
	size_t length;
	bool is_parsed;

	*token_out = (struct oauth_token){ .name = NULL };
	if (gsasl_base64_from(answer, strlen(answer), &data, &length) !=
	    GSASL_OK)
		return false;
	text = xstrndup(data, length);
	is_parsed = strlen(text) == length &&
	    parse_response(token_out, text, is_bearer);
	explicit_bzero(text, strlen(text));
	free(text);
	explicit_bzero(data, length);
	gsasl_free(data);
	if (!is_parsed)
		oauth_token_release(token_out);
	return is_parsed;
}

void
oauth_token_release(struct oauth_token *token)
{
	free(token->name);
	if (token->token != NULL)
		explicit_bzero(token->token, strlen(token->token));
	free(token->token);
	*token = (struct oauth_token){ .name = NULL };
}

int
oauth_token_check(struct oauth_token *token, const char *program,
    const char *mechanism, const struct vars *vars, struct error *err)
{
	OWN_TEXT path = xstrdup(program);
	char *const argv[] = { path, NULL };
	const struct checkpassword_proof proof = {
		.name = token->name,
		.secret = token->token,
		.timestamp = mechanism,
		.bytes_max = OAUTH_BYTES_MAX,
	};
	AUTO(buf_release) struct buf output = BUF_INIT;
	int result = checkpassword_run(
	    argv, vars, &proof, CHECK_MS, &output, err);

	if (result == 1 && token->name[0] == '\0' && output.length > 0) {
		free(token->name);
		token->name = xstrndup(
		    output.data, strcspn(output.data, "\r\n"));
	}
	return result;
}
