/* SPDX-License-Identifier: ISC */
/* Is this the password?  By crypt(3), or by a SCRAM verifier (RFC 5802). */
#ifndef AUTH_VERIFY_H
#define AUTH_VERIFY_H

#include "base/error.h"

/* Bytes of a password: crypt(3) takes no more. */
enum { VERIFY_PASSWORD_MAX = 511 };

/*
 * hash is in any form that crypt(3) of this system knows; "*" is no password.
 * 1 it is the password, 0 it is not, -1 could not tell: no such form.  As much
 * work whichever it is.  Any thread.
 */
int verify_crypt(const char *password, const char *hash, struct error *err);

/*
 * The same by "{SCRAM-SHA-256}ITERATIONS,SALT,STORED,SERVER" (base64), or
 * SHA-1 or SHA-512 instead.
 */
int verify_scram(const char *password, const char *scram, struct error *err);

/*
 * Takes as long as verify_crypt() with hash, and has no result.  For users who
 * do not exist; hash NULL: as with a new user's.
 */
void verify_nothing(const char *password, const char *hash);

#endif
