/* SPDX-License-Identifier: ISC */
/*
 * TLS by OpenSSL, which no other file includes.  TLS 1.2 and above.
 *
 * A context is read-only after it is made and may be shared by threads.
 */
#ifndef BASE_TLS_H
#define BASE_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/certificate.h"
#include "base/error.h"
#include "base/strlist.h"

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
/* A client's.  What certificates it takes, struct tls_peer says. */
struct tls_context *tls_client_context_new(struct error *err);

/*
 * Before a client's context is used.  tls_context_trust_system: the system's
 * authorities (SSL_CERT_FILE and SSL_CERT_DIR name others) may prove a peer;
 * tls_context_trust_file: those of this PEM file.  tls_context_set_certificate:
 * the client's own, as the server's above.  0, or -1 with the reason.
 */
int tls_context_trust_system(struct tls_context *context, struct error *err);
int tls_context_trust_file(
    struct tls_context *context, const char *path, struct error *err);
int tls_context_set_certificate(
    struct tls_context *context, const char *cert_path, struct error *err);

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
/* Groups for key exchange, as "X25519:P-256", likewise. */
int tls_context_set_groups(
    struct tls_context *context, const char *groups, struct error *err);

/*
 * A server asks for the client's certificate, before it is used.  Any is taken,
 * whoever has signed it and whatever it says, and none is needed: who it is
 * tells tls_session_peer_pin().
 */
void tls_context_ask_client(struct tls_context *context);

/* A record of DANE (RFC 6698 2.1). */
struct tls_dane_record {
	uint8_t usage, selector, matching;
	const unsigned char *data;
	size_t length;
};

/* Whom a client wants to talk to.  Borrowed for the handshake. */
struct tls_peer {
	const char *host; /* told to it (SNI) unless it is an address */
	/* Its certificate must prove it, or the handshake fails. */
	bool is_verified;
	/* Not that, but it is told whether it would, by names. */
	bool is_examined;
	/* by the system's authorities, with one of these names, or host */
	const char *const *names;
	size_t name_count;
	/* A PEM file of authorities, instead of the system's; or NULL.  Such
	 * a session is not resumed: the file may change. */
	const char *authorities_path;
	/*
	 * If there are any: by these instead (RFC 7672).  Others than usages 2
	 * and 3 and those that cannot be used do not count; if none is left
	 * the peer is not verified (RFC 7672 2.2).
	 */
	const struct tls_dane_record *records;
	size_t record_count;
	/*
	 * Unless NULL: it has one of these pins (certificate.h), whatever its
	 * certificate says and whoever has signed it, or the handshake fails;
	 * what is no pin is nobody's.  Then nothing of the above counts but
	 * host.
	 */
	const struct strlist *pins;
	/*
	 * What else sessions must have in common to be resumed: those that
	 * have, and whose host, proofs, names, records and pins are the same, may
	 * be for two hours after the peer has shown its certificate.  NULL:
	 * this one neither resumes another nor is resumed.
	 */
	const char *scope;
};

/* What became of a session that was kept. */
enum tls_resumption {
	TLS_RESUMPTION_NONE,    /* there was none */
	TLS_RESUMPTION_REFUSED, /* the handshake was a whole one, or failed */
	TLS_RESUMPTION_DONE
};

/* Why a handshake failed, as RFC 8460 4.3 divides it. */
enum tls_failure {
	TLS_FAILURE_NONE,
	TLS_FAILURE_NOT_OFFERED, /* the peer has no STARTTLS */
	TLS_FAILURE_NAME,
	TLS_FAILURE_EXPIRED,
	TLS_FAILURE_UNTRUSTED,
	TLS_FAILURE_OTHER
};

/* Bytes of a channel binding of the type tls-exporter (RFC 9266). */
enum { TLS_BINDING_SIZE = 32 };

/* How a client knows its peer. */
enum tls_proof {
	TLS_PROOF_NONE,
	TLS_PROOF_AUTHORITIES,
	TLS_PROOF_DANE,
	TLS_PROOF_PIN
};

#endif
