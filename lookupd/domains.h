/* SPDX-License-Identifier: ISC */
/*
 * The virtual domains of a node: its own, as users/assign has them, and those of
 * the cluster (control/cluster_domains.h).  They are the same whatever store has
 * the users.  Any thread.
 */
#ifndef LOOKUPD_DOMAINS_H
#define LOOKUPD_DOMAINS_H

#include "control/cdb_cache.h"
#include "control/home.h"
#include "lookupd/store.h"

struct domains;

/*
 * Of this node; the cache of its files is borrowed.  NULL, with the reason,
 * when there is no node.
 */
struct domains *domains_new(
    const struct home *home, struct cdb_cache *cache, struct error *err);
void domains_free(struct domains **domains);

/* The domain, in its one spelling.  As store_find_domain(). */
int domains_find(struct domains *domains, const char *domain,
    unsigned max_age_ms, struct store_domain *domain_out, struct error *err);

#endif
