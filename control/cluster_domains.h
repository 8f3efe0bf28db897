/* SPDX-License-Identifier: ISC */
/*
 * The domains of the cluster, as clusterd tells them to this node in
 * run/cluster/domains.cdb (docs/cluster.md): alias domains, too.
 *
 * Any number of threads may use one.  A file that is replaced counts at once,
 * unless it cannot be read: then the one before does.  Each question costs a
 * stat, of a node without cluster nothing more.
 */
#ifndef CONTROL_CLUSTER_DOMAINS_H
#define CONTROL_CLUSTER_DOMAINS_H

#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"
#include "control/home.h"

struct cluster_domains;

/* Texts point into storage. */
struct cluster_domain {
	struct buf storage;
	const char *name; /* the real domain: an alias domain gives its target */
	const char *dir;  /* its folder on this node, absolute */
	uid_t uid;
	gid_t gid;
};

/* Need not be there; nothing is read yet. */
struct cluster_domains *cluster_domains_new(const struct home *home);
void cluster_domains_free(struct cluster_domains **domains);

/*
 * A domain in any spelling (control/idn.h).  1, and the caller releases what
 * was found; 0: it is none of the cluster's, or there is no cluster; -1: the
 * file cannot be read.
 */
int cluster_domain_find(struct cluster_domains *domains, const char *domain,
    struct cluster_domain *domain_out, struct error *err);
void cluster_domain_release(struct cluster_domain *domain);

/* What stands for one in the file; clusterd's. */
void cluster_domain_put(struct buf *value, const char *name, const char *dir,
    uid_t uid, gid_t gid);

#endif
