/* SPDX-License-Identifier: ISC */
/* Bearer tokens: OAUTHBEARER (RFC 7628) and XOAUTH2. */
#ifndef AUTH_OAUTH_H
#define AUTH_OAUTH_H

#include <stdbool.h>

#include "base/error.h"
#include "base/vars.h"

struct oauth_token {
	char *name; /* whose it is; "" when the client does not say */
	char *token;
};

/* What a client hears before it is refused, in base64. */
extern const char oauth_error[];

/* Reads a client's first answer (base64).  False when it is none. */
bool oauth_token_parse(
    struct oauth_token *token_out, const char *answer, bool is_bearer);
void oauth_token_release(struct oauth_token *token);

/*
 * Asks the program, which reads NAME '\0' TOKEN '\0' MECHANISM '\0' from
 * descriptor 3, whether it is a valid one of this user: exit codes as of
 * checkpassword.  When there is no name, the first line of its output is it.
 * 1, 0, or -1 could not tell.
 */
int oauth_token_check(struct oauth_token *token, const char *program,
    const char *mechanism, const struct vars *vars, struct error *err);

#endif
