/* SPDX-License-Identifier: ISC */
/* run/cluster/domains.cdb: REAL '\0' DIR '\0' UID '\0' GID '\0' by domain. */
#include "control/cluster_domains.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/scan.h"
#include "control/cdb_cache.h"
#include "control/idn.h"
#include "control/layout.h"

struct cluster_domains {
	char *path;
	struct cdb_cache *cache; /* of that file */
};

struct cluster_domains *
cluster_domains_new(const struct home *home)
{
	struct cluster_domains *domains = xcalloc(1, sizeof(*domains));

	domains->path = layout_path(home, LAYOUT_cluster_domains);
	domains->cache = cdb_cache_new(1);
	cdb_cache_keep_last(domains->cache);
	return domains;
}

void
cluster_domains_free(struct cluster_domains **domains_in)
{
	struct cluster_domains *domains = *domains_in;

	if (domains == NULL)
		return;
	cdb_cache_free(&domains->cache);
	free(domains->path);
	free(domains);
	*domains_in = NULL;
}

static bool
read_cluster_domain(struct cluster_domain *domain)
{
	enum { FIELDS = 4 };
	const char *at = domain->storage.data, *fields[FIELDS];
	const char *end = at + domain->storage.length;
	uint64_t uid, gid;

	for (unsigned i = 0; i < FIELDS; i++) {
		const char *nul = memchr(at, '\0', (size_t)(end - at));

		if (nul == NULL)
			return false;
		fields[i] = at;
		at = nul + 1;
	}
	if (*fields[0] == '\0' || *fields[1] != '/' ||
	    !scan_u64(fields[2], UINT32_MAX - 1, &uid) ||
	    !scan_u64(fields[3], UINT32_MAX - 1, &gid))
		return false;
	domain->name = fields[0];
	domain->dir = fields[1];
	domain->uid = (uid_t)uid;
	domain->gid = (gid_t)gid;
	return true;
}

int
cluster_domain_find(struct cluster_domains *domains, const char *domain,
    struct cluster_domain *domain_out, struct error *err)
{
	char canonical[IDN_DOMAIN_SIZE];
	struct cdb_cache_entry *entry;
	int result;

	*domain_out = (struct cluster_domain){ .storage = BUF_INIT };
	result = cdb_cache_acquire(
	    domains->cache, domains->path, 0, &entry, err);
	if (result != 1)
		return result;
	idn_domain_canonical(domain, canonical);
	result = *canonical == '\0'
	    ? 0
	    : cdbmap_get(cdb_cache_map(entry), canonical, strlen(canonical),
		  &domain_out->storage, err);
	cdb_cache_release(domains->cache, entry);
	if (result == 1 && !read_cluster_domain(domain_out))
		result = error_set(err, "'%s': domain '%s' cannot be read",
		    domains->path, canonical);
	if (result != 1)
		cluster_domain_release(domain_out);
	return result;
}

void
cluster_domain_release(struct cluster_domain *domain)
{
	buf_release(&domain->storage);
	*domain = (struct cluster_domain){ .storage = BUF_INIT };
}

void
cluster_domain_put(struct buf *value, const char *name, const char *dir,
    uid_t uid, gid_t gid)
{
	buf_addf(value, "%s%c%s%c%lu%c%lu%c", name, '\0', dir, '\0',
	    (unsigned long)uid, '\0', (unsigned long)gid, '\0');
}
