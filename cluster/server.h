/* SPDX-License-Identifier: ISC */
/*
 * Answers on run/clusterd, by packets (base/packet.h), each a JSON object, to
 * whoever is on this host: nothing that is told is secret.
 *
 *	{"ask": "status"}
 *
 * is answered by what is known of this node, with the number of "nodes", and
 * that many packets more, one of each node.  Anything else is answered by
 * {"error": REASON}.
 */
#ifndef CLUSTER_SERVER_H
#define CLUSTER_SERVER_H

#include "base/loop.h"
#include "cluster/state.h"

struct cluster_server;

/* Serves those who connect to listen_fd, which stays the caller's. */
struct cluster_server *cluster_server_new(struct loop *loop, int listen_fd,
    struct state *state, struct error *err);
void cluster_server_free(struct cluster_server **server);

#endif
