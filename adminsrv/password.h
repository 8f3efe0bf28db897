/* SPDX-License-Identifier: ISC */
/* Passwords: asking for one, and their hashes by crypt(3). */
#ifndef ADMINSRV_PASSWORD_H
#define ADMINSRV_PASSWORD_H

#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"

/* Bytes of a password: crypt(3) takes no more. */
enum { PASSWORD_MAX = 511 };

/*
 * Asks twice on a terminal, without echo; from anything else takes the first
 * line of descriptor 0.  subject ("alice@example.test") is in the prompt.  0,
 * or -1 with the reason: the two differ, there is none, it is too long.
 */
int password_ask(
    const char *subject, struct buf *password_out, struct error *err);

/* A random password of letters and digits.  0 or -1. */
int password_random(size_t length, struct buf *password_out, struct error *err);

/*
 * Hashes a password.  method is SHA-512 (3), SHA-256 (2), YESCRYPT or MD5 (1),
 * by name or number; NULL: the environment variable PASSWORD_HASH, else
 * SHA-512.  Any thread may call it.  0, or -1 with the reason.
 */
int password_hash(const char *password, const char *method,
    struct buf *hash_out, struct error *err);

#endif
