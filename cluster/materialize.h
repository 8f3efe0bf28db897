/* SPDX-License-Identifier: ISC */
/*
 * Writes what other programs of the node must know of the cluster into
 * run/cluster: each file is replaced as a whole.
 *
 * domains.cdb: key, a domain's name in lower case; value "REAL\0DIR\0UID\0GID\0",
 * the numbers in decimal.  Alias domains have REAL's value.
 *
 * nodes.cdb: key, a node's name; value "HOST\0SMTP_PORT\0PINS\0ROLE\0IMAP_PORT\0
 * POP3_PORT\0IS_ALIVE": PINS with commas between, no pins of a revoked node;
 * IS_ALIVE 1 or 0; no NUL behind it.  The key "" has the node's own name.
 *
 * leases: control/cluster_leases.h.
 */
#ifndef CLUSTER_MATERIALIZE_H
#define CLUSTER_MATERIALIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/strlist.h"
#include "control/cluster_leases.h"

/* A name of a domain, its own or an alias. */
struct materialize_domain {
	const char *name, *real, *dir;
	uid_t uid;
	gid_t gid;
};

struct materialize_node {
	const char *name, *host, *role;
	uint16_t smtp_port, imap_port, pop3_port;
	const struct strlist *pins;
	bool is_alive;
};

/* Durable, as cdbmap_writer_commit() says.  0 or -1. */
int materialize_domains(const char *path,
    const struct materialize_domain *domains, size_t count, struct error *err);
int materialize_nodes(const char *path, const char *own_name,
    const struct materialize_node *nodes, size_t count, struct error *err);

/*
 * Not synced, as it means nothing after the boot: nobody's deadline shall wait
 * for a disk.  0 or -1.
 */
int materialize_leases(const char *path, const struct cluster_lease_list *list,
    struct error *err);

#endif
