/* SPDX-License-Identifier: ISC */
/* Passwords: asking for one, and their hashes by crypt(3). */
#ifndef ADMINSRV_PASSWORD_H
#define ADMINSRV_PASSWORD_H

#include <stdbool.h>
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
 * YESCRYPT.  Any thread may call it.  0, or -1 with the reason.
 */
int password_hash(const char *password, const char *method,
    struct buf *hash_out, struct error *err);

/*
 * Makes the SCRAM-SHA-256 verifier of a password, "{SCRAM-SHA-256}ITERATIONS,
 * SALT,STORED-KEY,SERVER-KEY" without the blank, salt and keys in base64 (RFC
 * 5802 3, RFC 7677; the layout is the reference's).  Any thread may call it. 0,
 * or -1 with the reason.
 */
int password_scram(
    const char *password, struct buf *scram_out, struct error *err);

/* All that a store keeps of a password; text is data of the buf. */
struct password_data {
	struct buf hash;
	struct buf scram, secret; /* empty: none */
};

/* The hash and the verifier; and the password itself if it is to be kept. */
int password_data_make(const char *password, const char *method,
    bool keeps_secret, struct password_data *data_out, struct error *err);
/* What was hashed elsewhere: "hash" or "verifier,hash". */
void password_data_take(const char *hashed, struct password_data *data_out);
void password_data_release(struct password_data *data); /* wipes it */

/* The text of a buf, or NULL when that is empty. */
const char *password_text(const struct buf *buf);

#endif
