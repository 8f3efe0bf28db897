/* SPDX-License-Identifier: ISC */
/*
 * The nodes of the cluster, as clusterd has last written them into
 * run/cluster/nodes.cdb (docs/cluster.md).
 *
 *	NODE = host NUL smtp_port NUL pins NUL role NUL imap_port NUL
 *	    pop3_port NUL is_alive
 *	(empty key) = the name of this node
 *
 * Ports are decimal, 0: none; pins have ',' between; is_alive is 1 or 0.  Who
 * has been revoked has no pin, or no record.
 *
 * Any thread may ask: the file is opened anew each time, so that what clusterd
 * writes counts at once, and threads share nothing.  Where there is no cluster
 * that is one call that fails.
 */
#ifndef CONTROL_CLUSTER_NODES_H
#define CONTROL_CLUSTER_NODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/strlist.h"
#include "control/home.h"

/* The role of a server of another kind, which has no pins (mq.nodes). */
#define CLUSTER_ROLE_LEGACY "legacy"

enum { CLUSTER_NODE_NAME_MAX = 64 }; /* longer ones are cut in texts */

/*
 * How often a message has gone from node to node, in the Received field that a
 * node's listener writes: a line of its own, "  " CLUSTER_HOP_WORDS digits ")".
 * It may so often; then nodes disagree about who keeps the mailbox.
 */
#define CLUSTER_HOP_WORDS "(cluster hop "
enum { CLUSTER_HOPS_MAX = 5 };

/* Texts lie in storage.  Zeroed storage is one that may be filled. */
struct cluster_node {
	struct buf storage;
	const char *name, *host, *role;
	uint16_t smtp_port, imap_port, pop3_port;
	struct strlist pins; /* as base/certificate.h has them */
	bool is_alive;
};
void cluster_node_release(struct cluster_node *node);

struct cluster_nodes;
struct cluster_nodes *cluster_nodes_new(const struct home *home);
void cluster_nodes_free(struct cluster_nodes **nodes);

/*
 * 1 and *out, which the caller releases; 0: there is no such node, also where
 * there is no cluster; -1: the file cannot be read or is damaged.  out is
 * filled with 1 alone; what it held before is released.
 */
int cluster_node_find(const struct cluster_nodes *nodes, const char *name,
    struct cluster_node *out, struct error *err);
/* The same, of the node that has this pin. */
int cluster_node_find_pin(const struct cluster_nodes *nodes, const char *pin,
    struct cluster_node *out, struct error *err);

/* This node's name, behind what name_out holds.  1; 0: in no cluster; -1. */
int cluster_own_name(const struct cluster_nodes *nodes, struct buf *name_out,
    struct error *err);

/*
 * True when the file is another than at the last call of this; for one thread.
 * One stat.
 */
bool cluster_nodes_have_changed(struct cluster_nodes *nodes);

/* A record's value, not trusted.  0, or -1 with what is wrong. */
int cluster_node_read(const char *name, size_t name_length, const char *value,
    size_t value_length, struct cluster_node *out, struct error *err);

#endif
