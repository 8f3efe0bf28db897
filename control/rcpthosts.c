/* SPDX-License-Identifier: ISC */
/* rcpthosts and morercpthosts.cdb. */
#include "control/rcpthosts.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "control/cdb_text.h"
#include "control/cdbmap.h"
#include "control/idn.h"

enum { MORE_MAX_BYTES = 256 * 1024 * 1024 }; /* morercpthosts */

struct rcpthosts {
	bool matches_all;     /* there is no file */
	struct strlist names; /* canonical, sorted */
	char *more_path;
	struct cluster_domains *cluster; /* or NULL */
};

struct rcpthosts *
rcpthosts_new(
    const char *control_dir, const struct settings *settings, struct error *err)
{
	const struct strlist *list = settings_list(settings, SETTING_rcpthosts);
	struct rcpthosts *hosts = xcalloc(1, sizeof(*hosts));
	struct cdbmap *more;

	hosts->matches_all = !settings_is_set(settings, SETTING_rcpthosts);
	hosts->more_path = xasprintf("%s/morercpthosts.cdb", control_dir);
	for (size_t i = 0; i < list->count; i++) {
		char name[IDN_DOMAIN_SIZE];

		idn_domain_canonical(list->items[i], name);
		strlist_add(&hosts->names, name);
	}
	strlist_sort(&hosts->names);
	/* A damaged file is told at the start, not at the first stranger. */
	if (cdbmap_open(hosts->more_path, &more, err) == -1)
		rcpthosts_free(&hosts);
	else
		cdbmap_free(&more);
	return hosts;
}

void
rcpthosts_free(struct rcpthosts **hosts_in)
{
	struct rcpthosts *hosts = *hosts_in;

	if (hosts == NULL)
		return;
	strlist_release(&hosts->names);
	free(hosts->more_path);
	cluster_domains_free(&hosts->cluster);
	free(hosts);
	*hosts_in = NULL;
}

void
rcpthosts_add_cluster(struct rcpthosts *hosts, struct cluster_domains *domains)
{
	hosts->cluster = domains;
}

/* The next name to try for a domain: itself, then each ".suffix". */
static const char *
next_name(const char *name)
{
	return strchr(name + (*name == '.'), '.');
}

static int
match_names(const struct rcpthosts *hosts, const char *domain)
{
	for (; domain != NULL; domain = next_name(domain))
		if (strlist_find(&hosts->names, domain))
			return 1;
	return 0;
}

/*
 * Opened each time, so that qmail-newmrh takes effect at once and threads
 * share nothing; only domains that are not in rcpthosts come here.
 */
static int
match_more(const struct rcpthosts *hosts, const char *domain, struct error *err)
{
	AUTO(cdbmap_free) struct cdbmap *more = NULL;
	int found = cdbmap_open(hosts->more_path, &more, err);

	if (found != 1)
		return found;
	found = 0;
	for (; domain != NULL && found == 0; domain = next_name(domain))
		found = cdbmap_get(more, domain, strlen(domain), NULL, err);
	return found;
}

static int
match_cluster(
    const struct rcpthosts *hosts, const char *domain, struct error *err)
{
	struct cluster_domain found;
	int result = hosts->cluster == NULL
	    ? 0
	    : cluster_domain_find(hosts->cluster, domain, &found, err);

	if (result == 1)
		cluster_domain_release(&found);
	return result;
}

int
rcpthosts_match(
    const struct rcpthosts *hosts, const char *mailbox, struct error *err)
{
	const char *at = strrchr(mailbox, '@');
	char domain[IDN_DOMAIN_SIZE];
	int result;

	if (hosts->matches_all || at == NULL)
		return 1;
	idn_domain_canonical(at + 1, domain);
	result = match_names(hosts, domain);
	if (result == 0)
		result = match_more(hosts, domain, err);
	if (result == 0)
		result = match_cluster(hosts, domain, err);
	return result;
}

/* One line of morercpthosts, not blank. */
static int
add_more_domain(
    struct cdbmap_writer *writer, const char *line, struct error *err)
{
	char domain[IDN_DOMAIN_SIZE];

	if (settings_check_value(SETTING_rcpthosts, line, err) == -1) {
		errno = EINVAL;
		return -1;
	}
	idn_domain_canonical(line, domain);
	return cdbmap_writer_add(writer, domain, strlen(domain), "", 0, err);
}

int
rcpthosts_compile_more(const char *control_dir, struct error *err)
{
	static const struct cdb_text kind = {
		.max_bytes = MORE_MAX_BYTES,
		.mode = 0644,
		.content = "the domains in it, one a line",
		.add = add_more_domain,
	};
	OWN_TEXT path = xasprintf("%s/morercpthosts", control_dir);

	return cdb_text_compile(path, &kind, err);
}
