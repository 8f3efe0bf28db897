/* SPDX-License-Identifier: ISC */
/*
 * Domains of a cluster: a row of mq.domains with is_clustered, and no line in
 * any node's files; each node has a folder for it, DOMAINS/NAME.
 */
#ifndef ADMINSRV_DOMAIN_CLUSTER_H
#define ADMINSRV_DOMAIN_CLUSTER_H

#include <stdbool.h>

#include "adminsrv/domain.h"
#include "adminsrv/placement.h"
#include "adminsrv/result.h"
#include "adminsrv/tasks.h"
#include "base/strlist.h"
#include "control/home.h"
#include "lookupd/pg.h"
#include "lookupd/store.h"

/*
 * Looks for a domain of the cluster by its name or an alias's, and makes its
 * folder if it is missing and we may.  1, and the caller releases; 0: there is
 * none, or no cluster; -1.
 */
int domain_cluster_find(const struct home *home, const char *domain,
    struct store_domain *domain_out, struct error *err);
/* The same question alone. */
int domain_is_clustered(
    const struct home *home, const char *domain, struct error *err);
/* Adds their names, or the alias domains of one; nothing without a cluster. */
int domain_cluster_list(
    const struct home *home, struct strlist *names, struct error *err);
int domain_cluster_aliases(const struct home *home, const char *domain,
    struct strlist *names, struct error *err);

/* The folders of all that are missing on this node. */
enum admin_result domain_cluster_make_folders(
    const struct home *home, struct pg *pg, struct error *err);

/*
 * As domain_add() and the others (adminsrv/domain.h).  Removed are the rows at
 * once, and the mail by tasks, which are waited for unless no_wait.
 */
enum admin_result domain_cluster_add(const struct home *home,
    const char *domain, const struct domain_options *options,
    struct error *err);
enum admin_result domain_cluster_remove(const struct home *home,
    const char *domain, bool no_wait, struct error *err);
enum admin_result domain_cluster_add_alias(const struct home *home,
    const char *real, const char *alias, struct error *err);

/*
 * What a node keeps of a domain that is removed, but mail.  ADMIN_OK also when
 * something is left.
 */
enum admin_result domain_cluster_drop_folder(
    const struct home *home, const char *domain, struct error *err);

#endif
