/* SPDX-License-Identifier: ISC */
/*
 * The token of XOAUTH2 credentials, which lasts an hour or so: the secret is
 * the token, or says where it is, "/FILE" or "|/PROGRAM".
 */
#ifndef REMOTE_TOKEN_H
#define REMOTE_TOKEN_H

#include <stdbool.h>

#include "base/error.h"
#include "remote/session.h"

enum { TOKEN_SIZE = 8192 }; /* with NUL */

bool token_is_elsewhere(const struct session_credentials *credentials);

/*
 * Blocking, up to half a minute: reads the first line of the file, or of what
 * the program, whose argument is the user, writes to descriptor 1.  0, or -1
 * with the reason, in which there is nothing of the token.
 */
int token_get(const struct session_credentials *credentials,
    char token_out[TOKEN_SIZE], struct error *err);

#endif
