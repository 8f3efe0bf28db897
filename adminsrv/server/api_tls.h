/* SPDX-License-Identifier: ISC */
/* TLS of the HTTPS interface: OpenSSL as libevent drives it. */
#ifndef ADMINSRV_SERVER_API_TLS_H
#define ADMINSRV_SERVER_API_TLS_H

#include "base/error.h"

struct api_tls;
struct bufferevent;
struct event_base;

/* A server's, with the chain and key of that file.  NULL with the reason. */
struct api_tls *api_tls_new(const char *cert_path, struct error *err);
void api_tls_free(struct api_tls **tls);

/*
 * A connection that begins with a handshake, without a socket yet; NULL: there
 * is no memory.  gone(context) is called when it is freed.
 */
struct bufferevent *api_tls_connection(struct api_tls *tls,
    struct event_base *base, void (*gone)(void *context), void *context);
/* The context of a connection. */
void *api_tls_context(struct bufferevent *connection);

#endif
