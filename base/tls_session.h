/* SPDX-License-Identifier: ISC */
/*
 * One TLS connection, as base/stream.c uses it; nobody else includes this.
 *
 * The session reads and writes through an endpoint, whose deadline counts.
 */
#ifndef BASE_TLS_SESSION_H
#define BASE_TLS_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/endpoint.h"
#include "base/error.h"
#include "base/tls.h"

struct tls_session;

/*
 * Both context and endpoint must outlive the session.  peer: a client's, NULL
 * for any.  Never NULL unless OpenSSL is out of memory or cannot look for such
 * a peer; then with the reason.
 */
struct tls_session *tls_session_new(struct tls_context *context,
    struct endpoint *endpoint, const struct tls_peer *peer, struct error *err);
void tls_session_free(struct tls_session **session);

/* The context's side of it.  0, or -1 with the reason. */
int tls_session_handshake(struct tls_session *session, struct error *err);

/*
 * At least 1 byte read; 0 when the peer has closed properly; -1 when the
 * endpoint had nothing or the protocol failed.  A session that only ran out of
 * time may be used on, so that the peer can be told.
 */
ssize_t tls_session_read(struct tls_session *session, char *data, size_t size);

/* Writes all (at least 1 byte), or returns -1. */
int tls_session_write(
    struct tls_session *session, const char *data, size_t length);

/*
 * How the endpoint's last call for this session ended; with STREAM_OK a failure
 * is a breach of the protocol.
 */
enum stream_result tls_session_result(const struct tls_session *session);
/* Bytes of the peer are kept in the session, perhaps not a whole record. */
bool tls_session_has_pending(const struct tls_session *session);

/* Tells the peer that nothing more comes (RFC 8446 6.1). */
void tls_session_close(struct tls_session *session);

enum tls_failure tls_session_failure(const struct tls_session *session);
enum tls_proof tls_session_proof(const struct tls_session *session);
/* After the handshake. */
enum tls_resumption tls_session_resumption(const struct tls_session *session);
/*
 * The pin of the certificate that the peer has shown, also in a session that is
 * resumed; false: it has shown none.
 */
bool tls_session_peer_pin(
    const struct tls_session *session, char pin_out[CERTIFICATE_PIN_SIZE]);
/* Valid as long as the session is. */
const char *tls_session_version(const struct tls_session *session);
const char *tls_session_cipher(const struct tls_session *session);
int tls_session_bits(const struct tls_session *session);
/* stream_tls_binding() of this session. */
bool tls_session_binding(const struct tls_session *session,
    unsigned char binding_out[TLS_BINDING_SIZE]);

#endif
