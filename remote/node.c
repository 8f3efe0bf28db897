/* SPDX-License-Identifier: ISC */
/* Another node of the cluster as a destination. */
#include "remote/node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "control/network.h"

bool
node_is_lane(const char *domain)
{
	return *domain == '@';
}

bool
node_is_legacy(const struct cluster_node *node)
{
	return strcmp(node->role, CLUSTER_ROLE_LEGACY) == 0;
}

/* Why its mail waits; NULL: it can be asked.  Of a record that was found. */
static const char *
find_obstacle(const struct cluster_node *node)
{
	if (node->smtp_port == 0)
		return "it takes no mail: it has no port for it";
	if (node_is_legacy(node))
		return NULL;
	if (node->pins.count == 0)
		return "it has no keys that are good now: it was revoked";
	return node->is_alive ? NULL : "it is not alive";
}

static void
find_host_of(const struct exchange_config *config,
    const struct cluster_node *node, struct exchange *out)
{
	struct network network;

	snprintf(out->route.host, sizeof(out->route.host), "%s", node->host);
	out->route.port = node->smtp_port;
	out->route.is_address = network_read(
	    node->host, strlen(node->host), &network);
	exchange_find_route(config, node->name, out);
	/* What people are told, and what the host is told as its name. */
	for (size_t i = 0; i < out->host_count; i++) {
		free(out->hosts[i].name);
		out->hosts[i].name = xstrdup(
		    node_is_legacy(node) ? node->host : node->name);
	}
	if (out->ttl_s > NODE_KNOWN_S)
		out->ttl_s = NODE_KNOWN_S;
}

void
node_find(const struct cluster_nodes *nodes,
    const struct exchange_config *config, const char *lane,
    struct exchange *out, struct cluster_node *node_out)
{
	const char *name = lane + 1, *obstacle = NULL;
	struct error err;
	int found = cluster_node_find(nodes, name, node_out, &err);

	*out = (struct exchange){ .route = smtproute_standard(),
		.is_routed = true,
		.ttl_s = UINT32_MAX };
	if (found == -1)
		obstacle = err.text;
	else if (found == 0)
		obstacle = "this node knows none of that name in its cluster";
	else
		obstacle = find_obstacle(node_out);
	if (obstacle == NULL) {
		find_host_of(config, node_out, out);
		if (out->state == EXCHANGE_FOUND)
			return;
	} else {
		out->state = EXCHANGE_UNKNOWN;
		out->text = xasprintf("Mail for this mailbox waits for node "
				      "%.64s: %s. (#4.3.2)\n",
		    name, obstacle);
	}
	cluster_node_release(node_out);
}
