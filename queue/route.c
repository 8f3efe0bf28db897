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

/* The whole address, the domain, then its ".suffix"es, then the catch-all. */
static const struct rule *
match_rule(const struct route *route, const char *address, const char *domain)
{
	const struct rule *rule = find_route_rule(route, address);
	const char *dot;

	if (rule == NULL)
		rule = find_route_rule(route, domain);
	for (dot = strchr(domain, '.'); rule == NULL && dot != NULL;
	     dot = strchr(dot + 1, '.'))
		rule = find_route_rule(route, dot);
	return rule != NULL ? rule : find_route_rule(route, "");
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
	const struct rule *rule;
	const char *domain;

	buf_adds(&address, recipient);
	if (strchr(recipient, '@') == NULL)
		buf_addf(&address, "@%s", route->envnoathost);
	apply_idn(&address);
	apply_percenthack(route, &address);
	apply_idn(&address);
	domain = strrchr(address.data, '@') + 1;
	if (has_name(&route->locals, domain))
		channel = ROUTE_LOCAL;
	else if ((rule = match_rule(route, address.data, domain)) != NULL &&
	    rule->prefix[0] != '\0') {
		channel = ROUTE_LOCAL;
		buf_addf(buf, "%s-", rule->prefix);
	}
	buf_add(buf, address.data, address.length + 1);
	return channel;
}

/* Does the rule's prefix, and a dash, stand before the rest of address? */
static bool
has_prefix(const struct rule *rule, const char *address, const char *rest)
{
	size_t length = strlen(rule->prefix);

	return length > 0 && rest == address + length + 1 &&
	    strncmp(address, rule->prefix, length) == 0;
}

const char *
route_strip(const struct route *route, const char *address)
{
	const char *at = strrchr(address, '@'), *dash;
	const struct rule *rule;

	if (at == NULL || has_name(&route->locals, at + 1))
		return address;
	/* A rule for one mailbox has the address without its prefix. */
	for (dash = strchr(address, '-'); dash != NULL && dash < at;
	     dash = strchr(dash + 1, '-')) {
		rule = find_route_rule(route, dash + 1);
		if (rule != NULL && has_prefix(rule, address, dash + 1))
			return dash + 1;
	}
	rule = match_rule(route, address, at + 1);
	if (rule == NULL)
		return address;
	dash = address + strlen(rule->prefix);
	if (dash < at && *dash == '-' && has_prefix(rule, address, dash + 1))
		return dash + 1;
	return address;
}
