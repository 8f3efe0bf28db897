/* SPDX-License-Identifier: ISC */
/* Which recipients are local and which remote. */
#include "queue/route.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/strlist.h"
#include "control/idn.h"

/* A line of virtualdomains: key ":" prefix; an empty prefix is an exception. */
struct rule {
	char *key;
	char *prefix;
};

struct route {
	char *envnoathost;
	struct strlist locals, percenthack; /* sorted */
	struct rule *rules;                 /* sorted by key */
	size_t rule_count;
	struct cluster_domains *cluster; /* or NULL */
};

static int
compare_route_names(const void *a, const void *b)
{
	const char *const *first = a, *const *second = b;

	return strcasecmp(*first, *second);
}

static int
compare_rules(const void *a, const void *b)
{
	const struct rule *first = a, *second = b;

	return strcasecmp(first->key, second->key);
}

static void
copy_names(const struct strlist *list, struct strlist *names)
{
	for (size_t i = 0; i < list->count; i++)
		strlist_add(names, list->items[i]);
	if (names->count > 0)
		qsort(names->items, names->count, sizeof(*names->items),
		    compare_route_names);
}

static int
copy_rules(struct route *route, const struct strlist *list, struct error *err)
{
	route->rules = xcalloc(list->count, sizeof(*route->rules));
	for (size_t i = 0; i < list->count; i++) {
		const char *colon = strchr(list->items[i], ':');

		if (colon == NULL)
			return error_set(err,
			    "control/virtualdomains: '%s' "
			    "has no ':'; a rule is domain:prefix",
			    list->items[i]);
		route->rules[i].key = xstrndup(
		    list->items[i], (size_t)(colon - list->items[i]));
		route->rules[i].prefix = xstrdup(colon + 1);
		route->rule_count++;
	}
	qsort(route->rules, route->rule_count, sizeof(*route->rules),
	    compare_rules);
	return 0;
}

struct route *
route_new(const struct settings *settings, struct error *err)
{
	struct route *route = xcalloc(1, sizeof(*route));

	route->envnoathost = xstrdup(
	    settings_text(settings, SETTING_envnoathost));
	copy_names(settings_list(settings, SETTING_locals), &route->locals);
	copy_names(
	    settings_list(settings, SETTING_percenthack), &route->percenthack);
	if (copy_rules(route, settings_list(settings, SETTING_virtualdomains),
		err) == -1)
		route_free(&route);
	return route;
}

int
route_judge_rule(const char *line, struct error *err)
{
	const char *colon = strchrnul(line, ':');
	AUTO(mem_free)
	char *key = xstrndup(line, (size_t)(colon - line));
	bool is_key = *key == '\0' ||
	    settings_check_value(SETTING_locals, key, NULL) == 0 ||
	    settings_check_value(SETTING_extraqueue, key, NULL) == 0;

	if (is_key && *colon == ':' && strpbrk(colon + 1, "/@:") == NULL)
		return 0;
	return error_set(err,
	    "'%.100s' is not a virtual domain; write for example "
	    "example.org:example.org",
	    line);
}

int
route_add_cluster(
    struct route *route, struct cluster_domains *domains, struct error *err)
{
	struct cluster_domain found;
	int result = cluster_domain_find(domains, "localhost", &found, err);

	if (result == 1)
		cluster_domain_release(&found);
	route->cluster = domains;
	return result == -1 ? -1 : 0;
}

void
route_free(struct route **route_in)
{
	struct route *route = *route_in;

	if (route == NULL)
		return;
	strlist_release(&route->locals);
	strlist_release(&route->percenthack);
	for (size_t i = 0; i < route->rule_count; i++) {
		free(route->rules[i].key);
		free(route->rules[i].prefix);
	}
	free(route->rules);
	free(route->envnoathost);
	cluster_domains_free(&route->cluster);
	free(route);
	*route_in = NULL;
}

static bool
has_name(const struct strlist *names, const char *name)
{
	return names->count > 0 &&
	    bsearch(&name, names->items, names->count, sizeof(*names->items),
		compare_route_names) != NULL;
}

static const struct rule *
find_route_rule(const struct route *route, const char *key)
{
	struct rule wanted = { .key = NULL };

	memcpy(&wanted.key, &key, sizeof(key)); /* only compared */
	return bsearch(&wanted, route->rules, route->rule_count,
	    sizeof(*route->rules), compare_rules);
}

/*
 * Of the cluster?  Then its prefix, which is its one spelling.  That of a file
 * that could never be read, which route_add_cluster() has told, is not.
 */
static bool
is_clustered(const struct route *route, const char *domain,
    char prefix_out[IDN_DOMAIN_SIZE])
{
	struct cluster_domain found;
	struct error ignored;

	if (route->cluster == NULL ||
	    cluster_domain_find(route->cluster, domain, &found, &ignored) != 1)
		return false;
	cluster_domain_release(&found);
	idn_domain_canonical(domain, prefix_out);
	return true;
}

/*
 * The prefix for the whole address, for the domain, which may be the cluster's,
 * for its ".suffix"es, or the catch-all's; "" by an exception, NULL without any.
 */
static const char *
match_prefix(const struct route *route, const char *address,
    const char *domain, char clustered[IDN_DOMAIN_SIZE])
{
	const struct rule *rule = find_route_rule(route, address);
	const char *dot;

	if (rule == NULL)
		rule = find_route_rule(route, domain);
	if (rule == NULL && is_clustered(route, domain, clustered))
		return clustered;
	for (dot = strchr(domain, '.'); rule == NULL && dot != NULL;
	     dot = strchr(dot + 1, '.'))
		rule = find_route_rule(route, dot);
	if (rule == NULL)
		rule = find_route_rule(route, "");
	return rule == NULL ? NULL : rule->prefix;
}

/* user%host@gate becomes user@host while gate is in percenthack. */
static void
apply_percenthack(const struct route *route, struct buf *address)
{
	for (;;) {
		char *at = memrchr(address->data, '@', address->length);
		char *percent;

		if (at == NULL || !has_name(&route->percenthack, at + 1))
			return;
		percent = memrchr(
		    address->data, '%', (size_t)(at - address->data));
		if (percent == NULL)
			return;
		*at = '\0';
		*percent = '@';
		address->length = (size_t)(at - address->data);
	}
}

/* A U-label's domain is that of its A-labels (RFC 5890). */
static void
apply_idn(struct buf *address)
{
	const char *at = memrchr(address->data, '@', address->length);
	char canonical[IDN_DOMAIN_SIZE];

	if (at == NULL || idn_is_ascii(at + 1) ||
	    !idn_domain_canonical(at + 1, canonical))
		return; /* what is no name matches no rule */
	address->length = (size_t)(at + 1 - address->data);
	buf_adds(address, canonical);
}

enum route_channel
route_rewrite(const struct route *route, const char *recipient, struct buf *buf)
{
	enum route_channel channel = ROUTE_REMOTE;
	AUTO(buf_release) struct buf address = BUF_INIT;
	char clustered[IDN_DOMAIN_SIZE];
	const char *domain, *prefix;

	buf_adds(&address, recipient);
	if (strchr(recipient, '@') == NULL)
		buf_addf(&address, "@%s", route->envnoathost);
	apply_idn(&address);
	apply_percenthack(route, &address);
	apply_idn(&address);
	domain = strrchr(address.data, '@') + 1;
	if (has_name(&route->locals, domain))
		channel = ROUTE_LOCAL;
	else if ((prefix = match_prefix(
		      route, address.data, domain, clustered)) != NULL &&
	    *prefix != '\0') {
		channel = ROUTE_LOCAL;
		buf_addf(buf, "%s-", prefix);
	}
	buf_add(buf, address.data, address.length + 1);
	return channel;
}

/* Does the prefix, and a dash, stand before the rest of address? */
static bool
has_prefix(const char *prefix, const char *address, const char *rest)
{
	size_t length = strlen(prefix);

	return length > 0 && rest == address + length + 1 &&
	    strncmp(address, prefix, length) == 0;
}

const char *
route_strip(const struct route *route, const char *address)
{
	const char *at = strrchr(address, '@'), *dash;
	char clustered[IDN_DOMAIN_SIZE];
	const struct rule *rule;
	const char *prefix;

	if (at == NULL || has_name(&route->locals, at + 1))
		return address;
	/* A rule for one mailbox has the address without its prefix. */
	for (dash = strchr(address, '-'); dash != NULL && dash < at;
	     dash = strchr(dash + 1, '-')) {
		rule = find_route_rule(route, dash + 1);
		if (rule != NULL && has_prefix(rule->prefix, address, dash + 1))
			return dash + 1;
	}
	prefix = match_prefix(route, address, at + 1, clustered);
	if (prefix == NULL)
		return address;
	dash = address + strlen(prefix);
	if (dash < at && *dash == '-' && has_prefix(prefix, address, dash + 1))
		return dash + 1;
	return address;
}
