/* SPDX-License-Identifier: ISC */
/*
 * Another node of the cluster as a destination: the lane "@NODE" of a queue.
 * Where it is and how it proves itself run/cluster/nodes.cdb says, not the DNS,
 * and no route, binding or TLS policy of the operator's counts.
 */
#ifndef REMOTE_NODE_H
#define REMOTE_NODE_H

#include <stdbool.h>

#include "control/cluster_nodes.h"
#include "remote/exchange.h"

enum {
	/* So long lanes rest for a node that is not there; when nodes.cdb says
	 * something else of it, they are woken. */
	NODE_REST_MS = 5000,
	/* What was read counts no longer than that. */
	NODE_KNOWN_S = 60
};

bool node_is_lane(const char *domain);

/*
 * The addresses of the node of a lane, and its record in *node_out (name NULL
 * unless the answer is FOUND); the caller releases both.  Else the answer is
 * UNKNOWN, with the reason: no such node, its keys are revoked, or it is not
 * alive.  Blocking only for a node whose host is a name.
 */
void node_find(const struct cluster_nodes *nodes,
    const struct exchange_config *config, const char *lane,
    struct exchange *out, struct cluster_node *node_out);

/* Of another kind: known by its address alone, and spoken to as any host. */
bool node_is_legacy(const struct cluster_node *node);

#endif
