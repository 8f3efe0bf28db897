/* SPDX-License-Identifier: ISC */
/* run/cluster/domains.cdb: REAL '\0' DIR '\0' UID '\0' GID '\0' by domain. */
#include "control/cluster_domains.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/scan.h"
#include "control/cdbmap.h"
#include "control/idn.h"
#include "control/layout.h"

/* Of threads that read it while it is replaced. */
struct domains_map {
	struct cdbmap *map;
	atomic_uint users; /* the list is one */
};

struct cluster_domains {
	char *path;
	pthread_mutex_t lock; /* for what follows */
	struct domains_map *map; /* NULL: there was no file */
};

struct cluster_domains *
cluster_domains_new(const struct home *home)
{
	struct cluster_domains *domains = xcalloc(1, sizeof(*domains));

	domains->path = layout_path(home, LAYOUT_cluster_domains);
	pthread_mutex_init(&domains->lock, NULL);
	return domains;
}

static void
leave_domains_map(struct domains_map *map)
{
	if (map == NULL || atomic_fetch_sub(&map->users, 1) != 1)
		return;
	cdbmap_free(&map->map);
	free(map);
}

void
cluster_domains_free(struct cluster_domains **domains_in)
{
	struct cluster_domains *domains = *domains_in;

	if (domains == NULL)
		return;
	leave_domains_map(domains->map);
	pthread_mutex_destroy(&domains->lock);
	free(domains->path);
	free(domains);
	*domains_in = NULL;
}

static struct domains_map *
use_domains_map(struct cluster_domains *domains)
{
	struct domains_map *map;

	pthread_mutex_lock(&domains->lock);
	map = domains->map;
	if (map != NULL)
		atomic_fetch_add(&map->users, 1);
	pthread_mutex_unlock(&domains->lock);
	return map;
}

/* Puts another one in its place; takes map, which may be NULL. */
static void
replace_domains_map(struct cluster_domains *domains, struct domains_map *map)
{
	struct domains_map *old;

	pthread_mutex_lock(&domains->lock);
	old = domains->map;
	domains->map = map;
	pthread_mutex_unlock(&domains->lock);
	leave_domains_map(old);
}

/* The file that is there now.  1 and *map_out, to be left; 0 or -1. */
static int
open_domains_map(struct cluster_domains *domains, struct domains_map **map_out,
    struct error *err)
{
	struct domains_map *map = use_domains_map(domains);
	struct cdbmap *cdb;
	int result;

	*map_out = map;
	if (map != NULL && !cdbmap_is_stale(map->map))
		return 1;
	result = cdbmap_open(domains->path, &cdb, err);
	if (result == -1 && map != NULL)
		return 1; /* the last one that could be read */
	leave_domains_map(map);
	if (result != 1) {
		if (map != NULL)
			replace_domains_map(domains, NULL);
		return result;
	}
	map = xcalloc(1, sizeof(*map));
	map->map = cdb;
	map->users = 2; /* the list and the caller */
	replace_domains_map(domains, map);
	*map_out = map;
	return 1;
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
	struct domains_map *map;
	int result;

	*domain_out = (struct cluster_domain){ .storage = BUF_INIT };
	result = open_domains_map(domains, &map, err);
	if (result != 1)
		return result;
	idn_domain_canonical(domain, canonical);
	result = *canonical == '\0'
	    ? 0
	    : cdbmap_get(map->map, canonical, strlen(canonical),
		  &domain_out->storage, err);
	leave_domains_map(map);
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
