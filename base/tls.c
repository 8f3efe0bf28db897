/* SPDX-License-Identifier: ISC */
/* TLS by OpenSSL. */
#include "base/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/test_time.h"
#include "base/tls_session.h"
#include "base/tls_tickets.h"

enum { TICKET_LIFETIME_S = 7200 };

struct tls_context {
	struct tls_tickets *tickets; /* a client's; a server has NULL */
	SSL_CTX *ctx;
	BIO_METHOD *bio_method;
};

struct tls_session {
	struct endpoint *endpoint;
	struct tls_tickets *tickets; /* NULL: it is not resumed */
	unsigned char ticket_key[TLS_TICKETS_KEY_SIZE];
	enum tls_resumption resumption;
	int64_t proven_at_ms;      /* of what it was to resume */
	enum stream_result result; /* of its last call */
	SSL *ssl;
	bool has_failed; /* OpenSSL asks not to use the object any more */
	enum tls_failure failure;
	bool is_examined;
	enum tls_proof proof; /* what the handshake's end will have shown */
};

/* The first reason in OpenSSL's queue, which is emptied. */
static const char *
take_reason(void)
{
	unsigned long code = ERR_get_error();
	const char *reason;

	ERR_clear_error();
	if (code == 0)
		return "no reason given";
	if (ERR_SYSTEM_ERROR(code))
		return "system error";
	reason = ERR_reason_error_string(code);
	return reason == NULL ? "unknown reason" : reason;
}

static int
bio_read(BIO *bio, char *data, size_t size, size_t *length_out)
{
	struct tls_session *session = BIO_get_data(bio);

	session->result = endpoint_read(
	    session->endpoint, data, size, length_out);
	BIO_clear_retry_flags(bio);
	/* So a read that took too long leaves the session fit for writing. */
	if (*length_out == 0)
		BIO_set_retry_read(bio);
	return *length_out > 0;
}

static int
bio_write(BIO *bio, const char *data, size_t length, size_t *written_out)
{
	struct tls_session *session = BIO_get_data(bio);

	session->result = endpoint_write(session->endpoint, data, length);
	BIO_clear_retry_flags(bio);
	*written_out = session->result == STREAM_OK ? length : 0;
	return *written_out > 0;
}

static long
bio_control(BIO *bio, int command, long number, void *pointer)
{
	(void)bio;
	(void)number;
	(void)pointer;
	return command == BIO_CTRL_FLUSH; /* nothing waits in here */
}

/* An encrypted key is refused; OpenSSL's own function would ask a terminal. */
static int
refuse_passphrase(char *buf, int size, int is_writing, void *was_asked)
{
	(void)buf;
	(void)size;
	(void)is_writing;
	*(bool *)was_asked = true;
	return -1;
}

static int
load_certificate(SSL_CTX *ctx, const char *path, struct error *err)
{
	bool was_asked = false;
	int loaded;

	if (euidaccess(path, R_OK) == -1)
		return error_sys(err,
		    "cannot read TLS certificate '%s' (make it, or allow this "
		    "user to read it)",
		    path);
	if (SSL_CTX_use_certificate_chain_file(ctx, path) != 1)
		return error_set(err,
		    "no usable certificate in '%s': %s (put the server's "
		    "certificate in PEM form there, then those above it)",
		    path, take_reason());
	SSL_CTX_set_default_passwd_cb(ctx, refuse_passphrase);
	SSL_CTX_set_default_passwd_cb_userdata(ctx, &was_asked);
	loaded = SSL_CTX_use_PrivateKey_file(ctx, path, SSL_FILETYPE_PEM);
	SSL_CTX_set_default_passwd_cb_userdata(ctx, NULL);
	if (was_asked) {
		ERR_clear_error();
		return error_set(err,
		    "the key in '%s' is encrypted (store it without a "
		    "passphrase: openssl pkey)",
		    path);
	}
	if (loaded == 1 && SSL_CTX_check_private_key(ctx) == 1)
		return 0;
	/* Use of a key that is not the certificate's fails at loading too. */
	if (ERR_GET_REASON(ERR_peek_last_error()) ==
	    X509_R_KEY_VALUES_MISMATCH) {
		ERR_clear_error();
		return error_set(err,
		    "the key in '%s' does not belong to its first certificate "
		    "(put the server's certificate before those above it)",
		    path);
	}
	return error_set(err,
	    "no usable key in '%s': %s (put the certificate's key in PEM form "
	    "into the same file)",
	    path, take_reason());
}

static int
configure(SSL_CTX *ctx, struct error *err)
{
	static const unsigned char name[] = "mqmail";

	SSL_CTX_set_options(ctx,
	    SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
		SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_AUTO_RETRY);
	SSL_CTX_set_read_ahead(ctx, 1); /* a record's head and body at once */
	SSL_CTX_set_dh_auto(ctx, 1);
	/*
	 * Resumption by ticket alone: nothing is kept here.  One ticket is
	 * enough, as one client makes one connection after the other.
	 */
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_timeout(ctx, TICKET_LIFETIME_S);
	if (SSL_CTX_set_num_tickets(ctx, 1) != 1 ||
	    SSL_CTX_set_session_id_context(ctx, name, sizeof(name) - 1) != 1 ||
	    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1)
		return error_set(err, "cannot set up TLS: %s", take_reason());
	return 0;
}

static BIO_METHOD *
make_bio_method(void)
{
	/* BIO_get_new_index() would run out after some hundred rereads. */
	BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "stream");

	if (method == NULL)
		return NULL;
	BIO_meth_set_read_ex(method, bio_read);
	BIO_meth_set_write_ex(method, bio_write);
	BIO_meth_set_ctrl(method, bio_control);
	return method;
}

static struct tls_context *
make_context(const SSL_METHOD *method, struct error *err)
{
	struct tls_context *context = xcalloc(1, sizeof(*context));

	ERR_clear_error();
	context->bio_method = make_bio_method();
	context->ctx = SSL_CTX_new(method);
	if (context->bio_method != NULL && context->ctx != NULL)
		return context;
	error_set(err, "cannot set up TLS: %s", take_reason());
	tls_context_free(&context);
	return NULL;
}

struct tls_context *
tls_context_new(const char *cert_path, struct error *err)
{
	struct tls_context *context = make_context(TLS_server_method(), err);

	if (context != NULL &&
	    (configure(context->ctx, err) == -1 ||
		load_certificate(context->ctx, cert_path, err) == -1))
		tls_context_free(&context);
	return context;
}

/* OpenSSL has a session that could be resumed, perhaps long after the handshake
 * (TLS 1.3).
 */
static int
keep_ticket(SSL *ssl, SSL_SESSION *resumable)
{
	const struct tls_session *session = SSL_get_app_data(ssl);
	unsigned char *data = NULL;
	int length;

	if (session->tickets == NULL || !SSL_SESSION_is_resumable(resumable))
		return 0;
	length = i2d_SSL_SESSION(resumable, &data);
	if (length > 0)
		/* A new ticket of a resumed session proves nothing anew. */
		tls_tickets_put(session->tickets, session->ticket_key, data,
		    (size_t)length,
		    SSL_session_reused(ssl) == 1 ? session->proven_at_ms
						 : clock_ms());
	OPENSSL_free(data);
	return 0; /* it stays OpenSSL's */
}

struct tls_context *
tls_client_context_new(struct error *err)
{
	struct tls_context *context = make_context(TLS_client_method(), err);

	if (context == NULL)
		return NULL;
	context->tickets = tls_tickets_new(
	    test_time_ms("TICKET_LIFETIME_MS", TICKET_LIFETIME_S * 1000));
	SSL_CTX_set_options(
	    context->ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
	SSL_CTX_set_mode(
	    context->ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_AUTO_RETRY);
	SSL_CTX_set_read_ahead(context->ctx, 1);
	SSL_CTX_set_session_cache_mode(
	    context->ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(context->ctx, keep_ticket);
	if (SSL_CTX_set_min_proto_version(context->ctx, TLS1_2_VERSION) == 1 &&
	    SSL_CTX_dane_enable(context->ctx) == 1)
		return context;
	error_set(err, "cannot set up TLS: %s", take_reason());
	tls_context_free(&context);
	return NULL;
}

int
tls_context_trust_system(struct tls_context *context, struct error *err)
{
	ERR_clear_error();
	if (SSL_CTX_set_default_verify_paths(context->ctx) == 1)
		return 0;
	return error_set(err,
	    "cannot read the system's certificate "
	    "authorities: %s",
	    take_reason());
}

int
tls_context_trust_file(
    struct tls_context *context, const char *path, struct error *err)
{
	ERR_clear_error();
	if (SSL_CTX_load_verify_file(context->ctx, path) == 1)
		return 0;
	return error_set(err,
	    "cannot read certificate authorities from '%s': %s", path,
	    take_reason());
}

int
tls_context_set_certificate(
    struct tls_context *context, const char *cert_path, struct error *err)
{
	ERR_clear_error();
	return load_certificate(context->ctx, cert_path, err);
}

int
tls_context_set_ciphers(struct tls_context *context, const char *ciphers,
    const char *suites, struct error *err)
{
	ERR_clear_error();
	if (ciphers != NULL && *ciphers != '\0' &&
	    SSL_CTX_set_cipher_list(context->ctx, ciphers) != 1)
		return error_set(err,
		    "no TLS 1.2 cipher in '%s' (%s); write a list as "
		    "openssl-ciphers(1) has it",
		    ciphers, take_reason());
	if (suites != NULL && *suites != '\0' &&
	    SSL_CTX_set_ciphersuites(context->ctx, suites) != 1)
		return error_set(err,
		    "bad TLS 1.3 suites '%s' (%s); see openssl ciphers -tls1_3",
		    suites, take_reason());
	return 0;
}

int
tls_context_set_groups(
    struct tls_context *context, const char *groups, struct error *err)
{
	ERR_clear_error();
	if (*groups == '\0' ||
	    SSL_CTX_set1_groups_list(context->ctx, groups) == 1)
		return 0;
	ERR_clear_error();
	return error_set(err,
	    "no list of groups: '%s'; write names with ':' between them, as "
	    "X25519:P-256",
	    groups);
}

void
tls_context_free(struct tls_context **context)
{
	if (*context == NULL)
		return;
	tls_tickets_free(&(*context)->tickets);
	SSL_CTX_free((*context)->ctx);
	BIO_meth_free((*context)->bio_method);
	free(*context);
	*context = NULL;
}

static int
take_any_certificate(X509_STORE_CTX *store, void *unused)
{
	(void)store;
	(void)unused;
	return 1;
}

void
tls_context_ask_client(struct tls_context *context)
{
	SSL_CTX_set_verify(context->ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(
	    context->ctx, take_any_certificate, NULL);
}

int64_t
tls_context_valid_s(const struct tls_context *context)
{
	const X509 *own = SSL_CTX_get0_certificate(context->ctx);
	int days, seconds;

	if (own == NULL ||
	    !ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(own)))
		return -1;
	return days * (int64_t)86400 + seconds;
}

/* By these records.  1; 0 when none of them can be used; -1. */
static int
expect_dane(SSL *ssl, const struct tls_peer *peer)
{
	int usable = 0;
	size_t i;

	if (SSL_dane_enable(ssl, peer->host) != 1)
		return -1;
	/* RFC 7672 3.1.1: with usage 3 names and dates do not count */
	SSL_dane_set_flags(ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
	for (i = 0; i < peer->record_count; i++) {
		const struct tls_dane_record *record = &peer->records[i];

		/* RFC 7672 3.1.3: 0 and 1 are not for SMTP */
		if ((record->usage == 2 || record->usage == 3) &&
		    SSL_dane_tlsa_add(ssl, record->usage, record->selector,
			record->matching, record->data, record->length) == 1)
			usable = 1;
	}
	/* usage 2: one of the names that RFC 7672 3.2.2 allows */
	for (i = 0; i < peer->name_count; i++)
		if (SSL_add1_host(ssl, peer->names[i]) != 1)
			return -1;
	ERR_clear_error();
	return usable;
}

static bool
read_pin(const char *text, unsigned char digest_out[CERTIFICATE_PIN_SIZE / 2])
{
	size_t length;

	if (strlen(text) != CERTIFICATE_PIN_SIZE - 1 ||
	    OPENSSL_hexstr2buf_ex(digest_out, CERTIFICATE_PIN_SIZE / 2, &length,
		text, '\0') != 1)
		return false;
	return length == CERTIFICATE_PIN_SIZE / 2;
}

/*
 * A pin is a record of DANE, 3 1 1 (RFC 6698 2.1): of the certificate itself,
 * its public key, SHA-256.  0, or -1.
 */
static int
expect_pins(SSL *ssl, const struct tls_peer *peer)
{
	unsigned char digest[CERTIFICATE_PIN_SIZE / 2];
	int usable = 0;

	if (SSL_dane_enable(ssl, NULL) != 1)
		return -1;
	SSL_dane_set_flags(ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
	for (size_t i = 0; i < peer->pins->count; i++)
		if (read_pin(peer->pins->items[i], digest) &&
		    SSL_dane_tlsa_add(
			ssl, 3, 1, 1, digest, sizeof(digest)) == 1)
			usable++;
	ERR_clear_error();
	/* Without a record DANE would leave it to authorities. */
	return usable > 0 ? 0 : -1;
}

/* By the authorities of this file alone. */
static int
expect_authorities(SSL *ssl, const char *path)
{
	X509_STORE *store = X509_STORE_new();
	int result = -1;

	if (store != NULL && X509_STORE_load_file(store, path) == 1 &&
	    SSL_set1_verify_cert_store(ssl, store) == 1)
		result = 0;
	X509_STORE_free(store);
	return result;
}

static int
expect_names(SSL *ssl, const struct tls_peer *peer)
{
	size_t i;

	if (peer->authorities_path != NULL &&
	    expect_authorities(ssl, peer->authorities_path) == -1)
		return -1;
	if (SSL_set1_host(
		ssl, peer->name_count > 0 ? peer->names[0] : peer->host) != 1)
		return -1;
	for (i = 1; i < peer->name_count; i++)
		if (SSL_add1_host(ssl, peer->names[i]) != 1)
			return -1;
	return 0;
}

/* An address, or a literal of one: neither is told (RFC 6066 3). */
static bool
is_address(const char *host)
{
	unsigned char address[sizeof(struct in6_addr)];

	return *host == '[' || inet_pton(AF_INET, host, address) == 1 ||
	    inet_pton(AF_INET6, host, address) == 1;
}

static int
expect_peer(struct tls_session *session, const struct tls_peer *peer)
{
	SSL *ssl = session->ssl;

	if (peer->pins != NULL) {
		if (expect_pins(ssl, peer) == -1)
			return -1;
		session->proof = TLS_PROOF_PIN;
	} else if (peer->is_verified && peer->record_count > 0) {
		int usable = expect_dane(ssl, peer);

		if (usable == -1)
			return -1;
		if (usable == 1)
			session->proof = TLS_PROOF_DANE;
	} else if (peer->is_verified) {
		if (expect_names(ssl, peer) == -1)
			return -1;
		session->proof = TLS_PROOF_AUTHORITIES;
	} else if (peer->is_examined) {
		if (expect_names(ssl, peer) == -1)
			return -1;
		SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
		session->is_examined = true;
	}
	if (session->proof != TLS_PROOF_NONE) {
		SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
		SSL_set_verify(ssl, SSL_VERIFY_PEER, NULL);
	}
	if (is_address(peer->host))
		return 0;
	return SSL_set_tlsext_host_name(ssl, peer->host) == 1 ? 0 : -1;
}

/* A text or bytes, so that no two rows of them are the same. */
static void
put_part(struct buf *key, const void *data, size_t length)
{
	buf_addf(key, "%zu:", length);
	buf_add(key, data, length);
}

static void
make_ticket_key(const struct tls_peer *peer, unsigned char *key_out)
{
	AUTO(buf_release) struct buf key = BUF_INIT;
	size_t i;

	put_part(&key, peer->scope, strlen(peer->scope));
	put_part(&key, peer->host, strlen(peer->host));
	buf_addf(&key, "%d%d %zu ", peer->is_verified, peer->is_examined,
	    peer->name_count);
	for (i = 0; i < peer->name_count; i++)
		put_part(&key, peer->names[i], strlen(peer->names[i]));
	for (i = 0; i < peer->record_count; i++) {
		const struct tls_dane_record *record = &peer->records[i];

		buf_addf(&key, "%u.%u.%u.", record->usage, record->selector,
		    record->matching);
		put_part(&key, record->data, record->length);
	}
	for (i = 0; peer->pins != NULL && i < peer->pins->count; i++)
		put_part(
		    &key, peer->pins->items[i], strlen(peer->pins->items[i]));
	EVP_Digest(key.data, key.length, key_out, NULL, EVP_sha256(), NULL);
}

static void
offer_ticket(struct tls_session *session, struct tls_tickets *tickets,
    const struct tls_peer *peer)
{
	AUTO(buf_release) struct buf data = BUF_INIT;
	SSL_SESSION *resumed;
	const unsigned char *at;

	session->tickets = tickets;
	make_ticket_key(peer, session->ticket_key);
	if (!tls_tickets_get(tickets, session->ticket_key, clock_ms(), &data,
		&session->proven_at_ms))
		return;
	at = (const unsigned char *)data.data;
	resumed = d2i_SSL_SESSION(NULL, &at, (long)data.length);
	if (resumed != NULL && SSL_set_session(session->ssl, resumed) == 1)
		session->resumption = TLS_RESUMPTION_REFUSED; /* until it is */
	SSL_SESSION_free(resumed);
	ERR_clear_error();
}

struct tls_session *
tls_session_new(struct tls_context *context, struct endpoint *endpoint,
    const struct tls_peer *peer, struct error *err)
{
	struct tls_session *session = xcalloc(1, sizeof(*session));
	BIO *bio;

	ERR_clear_error();
	session->endpoint = endpoint;
	session->ssl = SSL_new(context->ctx);
	bio = BIO_new(context->bio_method);
	if (session->ssl == NULL || bio == NULL ||
	    (peer != NULL && expect_peer(session, peer) == -1)) {
		error_set(err, "cannot begin TLS: %s", take_reason());
		BIO_free(bio);
		tls_session_free(&session);
		return NULL;
	}
	BIO_set_data(bio, session);
	BIO_set_init(bio, 1);
	SSL_set_bio(session->ssl, bio, bio); /* takes bio */
	SSL_set_app_data(session->ssl, session);
	if (context->tickets != NULL)
		SSL_set_connect_state(session->ssl);
	else
		SSL_set_accept_state(session->ssl);
	if (peer != NULL && peer->scope != NULL &&
	    peer->authorities_path == NULL)
		offer_ticket(session, context->tickets, peer);
	return session;
}

void
tls_session_free(struct tls_session **session)
{
	if (*session == NULL)
		return;
	SSL_free((*session)->ssl);
	free(*session);
	*session = NULL;
}

/* Of a certificate that did not do. */
static enum tls_failure
failure_of(long verified)
{
	switch (verified) {
	case X509_V_OK: /* it was something else */
		return TLS_FAILURE_OTHER;
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		return TLS_FAILURE_NAME;
	case X509_V_ERR_CERT_HAS_EXPIRED:
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return TLS_FAILURE_EXPIRED;
	}
	return TLS_FAILURE_UNTRUSTED;
}

/* The handshake went well whatever the certificate was. */
static void
examine(struct tls_session *session)
{
	long verified = SSL_get_verify_result(session->ssl);

	if (verified == X509_V_OK)
		session->proof = TLS_PROOF_AUTHORITIES;
	else
		session->failure = failure_of(verified);
}

int
tls_session_handshake(struct tls_session *session, struct error *err)
{
	long verified;

	ERR_clear_error();
	if (SSL_do_handshake(session->ssl) == 1) {
		if (SSL_session_reused(session->ssl) == 1)
			session->resumption = TLS_RESUMPTION_DONE;
		if (session->is_examined)
			examine(session);
		return 0;
	}
	session->has_failed = true;
	if (session->tickets != NULL)
		tls_tickets_drop(session->tickets, session->ticket_key);
	verified = SSL_get_verify_result(session->ssl);
	session->failure = session->proof == TLS_PROOF_NONE
	    ? TLS_FAILURE_OTHER
	    : failure_of(verified);
	if (session->failure == TLS_FAILURE_OTHER)
		return error_set(
		    err, "TLS handshake failed: %s", take_reason());
	ERR_clear_error();
	if (session->proof == TLS_PROOF_PIN)
		return error_set(err,
		    "its certificate has none of the pins by which it is "
		    "known");
	return error_set(err, "its certificate does not prove the host: %s",
	    X509_verify_cert_error_string(verified));
}

enum tls_failure
tls_session_failure(const struct tls_session *session)
{
	return session->failure;
}

enum tls_proof
tls_session_proof(const struct tls_session *session)
{
	return session->proof;
}

enum tls_resumption
tls_session_resumption(const struct tls_session *session)
{
	return session->resumption;
}

bool
tls_session_peer_pin(
    const struct tls_session *session, char pin_out[CERTIFICATE_PIN_SIZE])
{
	const X509 *shown = SSL_get0_peer_certificate(session->ssl);
	unsigned char *der = NULL;
	int length = shown == NULL ? 0 : i2d_X509(shown, &der);
	bool is_told = length > 0 &&
	    certificate_pin_of_der(der, (size_t)length, pin_out) == 0;

	OPENSSL_free(der);
	return is_told;
}

ssize_t
tls_session_read(struct tls_session *session, char *data, size_t size)
{
	size_t length;

	if (session->has_failed)
		return -1;
	ERR_clear_error();
	if (SSL_read_ex(session->ssl, data, size, &length) == 1)
		return (ssize_t)length;
	switch (SSL_get_error(session->ssl, 0)) {
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	case SSL_ERROR_WANT_READ: /* see bio_read */
		return -1;
	}
	session->has_failed = true;
	return -1;
}

int
tls_session_write(struct tls_session *session, const char *data, size_t length)
{
	size_t written;

	if (session->has_failed)
		return -1;
	ERR_clear_error();
	if (SSL_write_ex(session->ssl, data, length, &written) == 1)
		return 0; /* without partial writes: all of it */
	session->has_failed = true;
	return -1;
}

enum stream_result
tls_session_result(const struct tls_session *session)
{
	return session->result;
}

bool
tls_session_has_pending(const struct tls_session *session)
{
	return SSL_has_pending(session->ssl) == 1;
}

void
tls_session_close(struct tls_session *session)
{
	if (session->has_failed)
		return;
	ERR_clear_error();
	SSL_shutdown(session->ssl);
	ERR_clear_error();
}

const char *
tls_session_version(const struct tls_session *session)
{
	return SSL_get_version(session->ssl);
}

const char *
tls_session_cipher(const struct tls_session *session)
{
	return SSL_get_cipher_name(session->ssl);
}

int
tls_session_bits(const struct tls_session *session)
{
	return SSL_get_cipher_bits(session->ssl, NULL);
}

bool
tls_session_binding(const struct tls_session *session,
    unsigned char binding_out[TLS_BINDING_SIZE])
{
	static const char label[] = "EXPORTER-Channel-Binding";

	return SSL_version(session->ssl) >= TLS1_3_VERSION &&
	    SSL_export_keying_material(session->ssl, binding_out,
		TLS_BINDING_SIZE, label, sizeof(label) - 1, NULL, 0, 0) == 1;
}
