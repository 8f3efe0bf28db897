/* SPDX-License-Identifier: ISC */
/* The proof of APOP (RFC 1939 7). */
#ifndef AUTH_APOP_H
#define AUTH_APOP_H

#include <stdbool.h>

/*
 * Is digest MD5 of the timestamp and the secret, in lower case hexadecimal?
 * Never without a secret (NULL), which takes as long.
 */
bool apop_is_proof(
    const char *timestamp, const char *secret, const char *digest);

#endif
