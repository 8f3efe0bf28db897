/* SPDX-License-Identifier: ISC */
/*
 * TLS by OpenSSL, which no other file includes.  TLS 1.2 and above.
 *
 * A context is read-only after it is made and may be shared by threads.
 */
#ifndef BASE_TLS_H
#define BASE_TLS_H

#include <stdint.h>

#include "base/error.h"

struct tls_context;

/*
 * A server's context from one PEM file with the certificate chain, the server's
 * first, and the key, not encrypted.  NULL, with the reason, when the file
 * cannot be used.
 *
 * Clients may resume sessions by ticket; the key of tickets lives as long as
 * the context, so a daemon that makes a new one at HUP changes it.
 */
struct tls_context *tls_context_new(const char *cert_path, struct error *err);
/* A client's, for connections to this host: it takes any certificate. */
struct tls_context *tls_client_context_new(struct error *err);

/*
 * For how many seconds from now on the context's own certificate is valid; less
 * than 0: no more.
 */
int64_t tls_context_valid_s(const struct tls_context *context);

void tls_context_free(struct tls_context **context);

/*
 * Before the context is used: ciphers (TLS 1.2 list) and suites (1.3), NULL or
 * "" for OpenSSL's defaults.  0, or -1 with the reason.
 */
int tls_context_set_ciphers(struct tls_context *context, const char *ciphers,
    const char *suites, struct error *err);

#endif
