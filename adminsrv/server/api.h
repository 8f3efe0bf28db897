/* SPDX-License-Identifier: ISC */
/*
 * The HTTPS interface (docs/admin-api.md), by libevent's server: one thread
 * moves bytes, and each request is answered on a thread of a pool.
 *
 * A connection serves one request, so that nothing which a peer puts behind one
 * is ever taken for another.  The request must be there within API_READ_MS,
 * headers and body are bounded, and so are connections, in all and for an
 * address.
 */
#ifndef ADMINSRV_SERVER_API_H
#define ADMINSRV_SERVER_API_H

#include "adminsrv/server/server.h"

enum {
	API_READ_MS = 20 * 1000,
	API_HEADERS_MAX = 16 * 1024,
	API_BODY_MAX = 64 * 1024,
	API_CONNECTIONS_MAX = 200,
	API_CONNECTIONS_PER_IP = 50
};

struct api;

/*
 * Serves on fd, a socket that listens and is taken.  server is borrowed until
 * api_stop().  NULL with the reason.
 */
struct api *api_start(struct admin_server *server, int fd, struct error *err);
/* The certificate has changed.  0, or -1: the old one stays. */
int api_reload(struct api *api, struct error *err);
/* Ends its thread, once the requests under way are answered. */
void api_stop(struct api **api);

#endif
