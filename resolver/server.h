/* SPDX-License-Identifier: ISC */
/* resolverd's side of its socket: clients, their questions, the answers. */
#ifndef RESOLVER_SERVER_H
#define RESOLVER_SERVER_H

#include "base/loop.h"
#include "resolver/unbound.h"

struct dns_server;

/*
 * Serves those who connect to listen_fd, which stays the caller's, in the
 * caller's loop.  Takes unbound; NULL, with the reason, leaves it.
 */
struct dns_server *dns_server_new(struct loop *loop, struct unbound *unbound,
    int listen_fd, struct error *err);
/* Questions that are open are answered: unknown.  Before loop_free(). */
void dns_server_free(struct dns_server **server);

#endif
