/* SPDX-License-Identifier: ISC */
/* The virtual domains of a node. */
#include "lookupd/domains.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "control/assign.h"
#include "control/cluster_domains.h"
#include "control/layout.h"
#include "lookupd/store_backend.h"

struct domains {
	struct cdb_cache *cache;
	char *users_dir;
	char *assign_text;
	char *assign_cdb;
	struct cluster_domains *cluster;
};

struct domains *
domains_new(const struct home *home, struct cdb_cache *cache, struct error *err)
{
	struct domains *domains;

	if (access(home->users, F_OK) == -1) {
		error_sys(err,
		    "cannot find the node's folder '%s' (MQMAIL_HOME names "
		    "the node)",
		    home->users);
		return NULL;
	}
	domains = xcalloc(1, sizeof(*domains));
	domains->cache = cache;
	domains->users_dir = xstrdup(home->users);
	domains->assign_text = layout_path(home, LAYOUT_assign);
	domains->assign_cdb = layout_path(home, LAYOUT_assign_cdb);
	domains->cluster = cluster_domains_new(home);
	return domains;
}

void
domains_free(struct domains **domains_in)
{
	struct domains *domains = *domains_in;

	if (domains == NULL)
		return;
	free(domains->users_dir);
	free(domains->assign_text);
	free(domains->assign_cdb);
	cluster_domains_free(&domains->cluster);
	free(domains);
	*domains_in = NULL;
}

/*
 * Without users/cdb: no virtual domains, if there is no users/assign either
 * and the folder is there to say so.  0 or -1.
 */
static int
explain_missing_cdb(const struct domains *domains, struct error *err)
{
	if (access(domains->assign_text, F_OK) == 0 || errno != ENOENT)
		return error_set(
		    err, "'%s' is missing: run qmail-newu", domains->assign_cdb);
	if (access(domains->users_dir, X_OK) == -1)
		return error_sys(
		    err, "cannot look into '%s'", domains->users_dir);
	return 0;
}

/*
 * The line of a virtual domain is +DOMAIN-:REALDOMAIN:uid:gid:DIR:-::
 * A match that leaves an extension is some shorter line's, such as the
 * catch-all's, and no virtual domain.
 */
static int
find_domain_line(struct domains *domains, const char *domain,
    unsigned max_age_ms, struct assign_entry *entry_out, struct error *err)
{
	char key[STORE_DOMAIN_MAX + 2];
	struct cdb_cache_entry *cached;
	int result;

	result = cdb_cache_acquire(
	    domains->cache, domains->assign_cdb, max_age_ms, &cached, err);
	if (result == 0)
		return explain_missing_cdb(domains, err);
	if (result == -1)
		return -1;
	snprintf(key, sizeof(key), "%s-", domain);
	result = assign_find(cdb_cache_map(cached), key, entry_out, err);
	cdb_cache_release(domains->cache, cached);
	if (result == 1 &&
	    (*entry_out->extension != '\0' ||
		strcmp(entry_out->dash, "-") != 0)) {
		assign_release(entry_out);
		result = 0;
	}
	/* It may have come, or the file been mended, meanwhile. */
	if (result != 1 && max_age_ms > 0)
		return find_domain_line(domains, domain, 0, entry_out, err);
	return result;
}

/* A domain of the cluster that is not one of this node's own. */
static int
find_clustered(struct domains *domains, const char *domain,
    struct store_domain *domain_out, struct error *err)
{
	struct cluster_domain found;
	int result = cluster_domain_find(
	    domains->cluster, domain, &found, err);

	if (result != 1)
		return result;
	*domain_out = (struct store_domain){
		.storage = found.storage, /* the texts point into it */
		.name = found.name,
		.dir = found.dir,
		.uid = found.uid,
		.gid = found.gid,
		.is_alias = strcmp(found.name, domain) != 0,
		.is_clustered = true,
	};
	return 1;
}

int
domains_find(struct domains *domains, const char *domain, unsigned max_age_ms,
    struct store_domain *domain_out, struct error *err)
{
	struct assign_entry entry;
	int result = find_domain_line(
	    domains, domain, max_age_ms, &entry, err);

	if (result == 0)
		return find_clustered(domains, domain, domain_out, err);
	if (result != 1)
		return result;
	domain_out->storage = entry.storage; /* the texts point into it */
	domain_out->name = entry.user;
	domain_out->dir = entry.home;
	domain_out->uid = entry.uid;
	domain_out->gid = entry.gid;
	domain_out->is_alias = strcmp(entry.user, domain) != 0;
	return 1;
}
