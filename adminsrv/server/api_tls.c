/* SPDX-License-Identifier: ISC */
/* TLS of the HTTPS interface. */
#include "adminsrv/server/api_tls.h"

#include <pthread.h>
#include <stdlib.h>

#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/mem.h"

struct api_tls {
	SSL_CTX *ctx;
};

/* What a connection has in its SSL, and goes with it. */
struct api_tls_end {
	void (*gone)(void *context);
	void *context;
};

static int end_index = -1;
static pthread_once_t end_once = PTHREAD_ONCE_INIT;

static void
tell_end(void *parent, void *data, CRYPTO_EX_DATA *all, int index, long argl,
    void *argp)
{
	struct api_tls_end *end = data;

	(void)parent;
	(void)all;
	(void)index;
	(void)argl;
	(void)argp;
	if (end == NULL)
		return;
	end->gone(end->context);
	free(end);
}

static void
make_end_index(void)
{
	end_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, tell_end);
}

struct api_tls *
api_tls_new(const char *cert_path, struct error *err)
{
	struct api_tls *tls = xcalloc(1, sizeof(*tls));

	pthread_once(&end_once, make_end_index);
	ERR_clear_error();
	tls->ctx = SSL_CTX_new(TLS_server_method());
	if (tls->ctx != NULL &&
	    SSL_CTX_set_min_proto_version(tls->ctx, TLS1_2_VERSION) == 1 &&
	    SSL_CTX_use_certificate_chain_file(tls->ctx, cert_path) == 1 &&
	    SSL_CTX_use_PrivateKey_file(
		tls->ctx, cert_path, SSL_FILETYPE_PEM) == 1 &&
	    SSL_CTX_check_private_key(tls->ctx) == 1) {
		SSL_CTX_set_options(tls->ctx,
		    SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
			SSL_OP_CIPHER_SERVER_PREFERENCE);
		SSL_CTX_set_mode(tls->ctx, SSL_MODE_RELEASE_BUFFERS);
		return tls;
	}
	error_set(err, "cannot use the certificate '%s': %s", cert_path,
	    ERR_reason_error_string(ERR_peek_error()));
	ERR_clear_error();
	api_tls_free(&tls);
	return NULL;
}

void
api_tls_free(struct api_tls **tls)
{
	if (*tls == NULL)
		return;
	SSL_CTX_free((*tls)->ctx); /* connections keep it */
	free(*tls);
	*tls = NULL;
}

struct bufferevent *
api_tls_connection(struct api_tls *tls, struct event_base *base,
    void (*gone)(void *context), void *context)
{
	SSL *ssl = SSL_new(tls->ctx);
	struct api_tls_end *end = xcalloc(1, sizeof(*end));
	struct bufferevent *connection = NULL;

	*end = (struct api_tls_end){ .gone = gone, .context = context };
	if (ssl == NULL || SSL_set_ex_data(ssl, end_index, end) != 1) {
		free(end);
		gone(context);
		SSL_free(ssl);
		return NULL;
	}
	connection = bufferevent_openssl_socket_new(base, -1, ssl,
	    BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
	if (connection == NULL)
		SSL_free(ssl); /* which tells the end */
	else
		bufferevent_openssl_set_allow_dirty_shutdown(connection, 1);
	return connection;
}

void *
api_tls_context(struct bufferevent *connection)
{
	const struct api_tls_end *end = SSL_get_ex_data(
	    bufferevent_openssl_get_ssl(connection), end_index);

	return end->context;
}
