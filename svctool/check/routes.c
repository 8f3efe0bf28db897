/* SPDX-License-Identifier: ISC */
/*
 * virtualdomains, rcpthosts and morercpthosts: does mail for each virtual
 * domain get in, and to somebody, and is all that gets in somebody's?
 */
#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "control/cdb_records.h"
#include "control/rcpthosts.h"
#include "queue/route.h"
#include "svctool/check/domain.h"

/* A line of virtualdomains: key ":" prefix, both in lower case. */
struct rule {
	unsigned line;
	bool is_odd; /* and the operator was told so */
	char *key;
	char *prefix;
};

struct routes {
	struct check *check;
	const struct check_assigns *assigns;
	struct settings *settings; /* as they are now */
	struct route *route;       /* NULL: not known */
	struct rcpthosts *hosts;   /* NULL: not known */
	struct rule *rules;        /* sorted */
	size_t count;
	/* Of the file that is walked through. */
	const char *path;
	struct check_crowd bad, lost;
};

static void
see_line_fault(unsigned line, const char *reason, void *context)
{
	struct routes *routes = context;

	if (check_crowd_has_room(&routes->bad))
		check_reason_at(
		    routes->check, CHECK_ERROR, routes->path, line, reason);
}

/* Hands value each good line of the setting's file, and finds the bad ones. */
static void
walk_setting(struct routes *routes, enum setting_id id,
    void (*value)(unsigned, const char *, void *), char *path)
{
	const struct setting_visitor visitor = { value, see_line_fault,
		routes };
	struct error err;

	routes->path = path;
	routes->bad = routes->lost = (struct check_crowd){ .count = 0 };
	routes->lost.level = CHECK_WARNING;
	if (settings_walk(id, path, &visitor, &err) == -1)
		check_reason(routes->check, CHECK_ERROR, err.text,
		    "run this as its owner or root");
	check_crowd_end(routes->check, &routes->bad, path, "correct the lines");
	check_crowd_end(
	    routes->check, &routes->lost, path, "vadddomain, or remove them");
}

static char *
fold(const char *text)
{
	char *copy = xstrdup(text);

	ascii_lower(copy, copy, strlen(copy));
	return copy;
}

static void
take_rule(unsigned line, const char *value, void *context)
{
	struct routes *routes = context;
	char *key = fold(value), *colon = strchr(key, ':');
	struct error err;
	bool is_odd = route_judge_rule(value, &err) == -1;

	if (is_odd && check_crowd_has_room(&routes->lost))
		check_reason_at(
		    routes->check, CHECK_WARNING, routes->path, line, err.text);
	*colon = '\0';
	routes->rules = mem_room(
	    routes->rules, routes->count, sizeof(*routes->rules));
	routes->rules[routes->count++] = (struct rule){ line, is_odd, key,
		colon + 1 };
}

static int
compare_by_key(const void *a, const void *b)
{
	const struct rule *one = a, *two = b;
	int order = strcmp(one->key, two->key);

	return order != 0 ? order : one->line < two->line ? -1 : 1;
}

static int
compare_key(const void *key, const void *rule)
{
	return strcmp(key, ((const struct rule *)rule)->key);
}

static bool
has_virtual_rule(const struct routes *routes, const char *key)
{
	return routes->count > 0 &&
	    bsearch(key, routes->rules, routes->count, sizeof(*routes->rules),
		compare_key) != NULL;
}

static void
check_twice(const struct routes *routes, const struct rule *rule)
{
	if (rule == routes->rules || strcmp(rule->key, rule[-1].key) != 0)
		return;
	check_find(routes->check, CHECK_ERROR, routes->path, rule->line,
	    "'%s' has two lines, this one and line %u" REMEDY
	    "remove one of them, then svc -h the queues",
	    rule->key, rule[-1].line);
}

/* The line of users/assign for the domain's own prefix, or NULL. */
static const struct check_assign *
find_own_assign(const struct routes *routes, const char *domain)
{
	OWN_TEXT address = xasprintf("%s-", domain);
	const struct check_assign *assign = check_assign_find(
	    routes->assigns, address, strlen(address));

	return assign;
}

/* Is there somebody for PREFIX-anything: a line of users/assign, or a user? */
static bool
has_receiver(const struct routes *routes, const struct rule *rule)
{
	OWN_TEXT address = xasprintf("%s-", rule->prefix);
	size_t length = strlen(address);
	const struct check_assign *assign;
	bool is_found = false;

	/* A domain's own prefix is vpopmail's; no shorter line is meant. */
	do {
		assign = check_assign_find(routes->assigns, address, length);
		is_found = assign != NULL && assign->is_wildcard;
	} while (
	    !is_found && strcmp(rule->key, rule->prefix) != 0 && length-- > 0);
	if (!is_found) {
		errno = 0;
		is_found = getpwnam(rule->prefix) != NULL || errno != 0;
	}
	return is_found;
}

/* Where qmail-send takes mail for the mailbox: here?  As a user's of locals? */
static bool
is_ours(const struct routes *routes, const char *mailbox, bool *is_local_out)
{
	AUTO(buf_release) struct buf address = BUF_INIT;
	bool is_it = routes->route != NULL &&
	    route_rewrite(routes->route, mailbox, &address) == ROUTE_LOCAL;

	*is_local_out = is_it && strcasecmp(address.data, mailbox) == 0;
	return is_it;
}

static void
check_taken(const struct routes *routes, const struct rule *rule)
{
	struct check *check = routes->check;
	OWN_TEXT mailbox = xasprintf("postmaster@%s", rule->key);
	const struct check_assign *assign = find_own_assign(routes, rule->key);
	bool is_local;

	is_ours(routes, mailbox, &is_local);
	if (is_local)
		check_find(check, CHECK_ERROR, routes->path, rule->line,
		    "'%s' is also in control/locals, which counts first, so "
		    "its users get no mail" REMEDY
		    "remove it from '%s/locals', then svc -h the queues",
		    rule->key, check->node->home->control);
	if (routes->hosts != NULL &&
	    rcpthosts_match(routes->hosts, mailbox, NULL) == 0) {
		check_find(check, CHECK_WARNING, routes->path, rule->line,
		    "'%s' is not in rcpthosts, so no mail is taken for it from "
		    "elsewhere",
		    rule->key);
		if (assign != NULL && strcmp(assign->user, rule->key) != 0)
			check_remedy(check, "vaddaliasdomain %s %s", rule->key,
			    assign->user);
		else
			check_remedy(check, "vadddomain %s", rule->key);
	}
}

static void
check_rule(const struct routes *routes, const struct rule *rule)
{
	struct check *check = routes->check;

	check_twice(routes, rule);
	if (*rule->prefix == '\0' || rule->is_odd)
		return; /* an exception, or not what was meant */
	if (!has_receiver(routes, rule))
		check_find(check, CHECK_ERROR, routes->path, rule->line,
		    "users/assign has no line for the prefix '%s-', so mail "
		    "for '%s' is not delivered" REMEDY
		    "vadddomain %s (it takes over a folder that is there), or "
		    "remove the line",
		    rule->prefix, rule->key, rule->prefix);
	if (*rule->key != '\0' && *rule->key != '.' &&
	    strchr(rule->key, '@') == NULL)
		check_taken(routes, rule);
}

/* What virtualdomains does not know is taken for another host's. */
static void
check_assigned(const struct routes *routes, const struct check_assign *assign)
{
	struct check *check = routes->check;
	OWN_TEXT domain = xstrndup(assign->address, assign->domain_length);

	if (*domain != '\0' && !has_virtual_rule(routes, domain)) {
		check_find(check, CHECK_ERROR, routes->assigns->path,
		    assign->line,
		    "control/virtualdomains has no line for the domain '%s', "
		    "so its users get no mail",
		    domain);
		if (strcmp(domain, assign->user) == 0)
			check_remedy(check, "vadddomain %s, or vdeldomain %s",
			    domain, domain);
		else
			check_remedy(check,
			    "vaddaliasdomain %s %s, or vdeldomain %s", domain,
			    assign->user, domain);
	}
}

/* A wildcard names no domain that might be missing. */
static bool
is_routed(const struct routes *routes, const char *domain)
{
	OWN_TEXT mailbox = xasprintf("postmaster@%s", domain);
	bool is_local;

	return *domain == '.' || routes->route == NULL ||
	    is_ours(routes, mailbox, &is_local) ||
	    has_virtual_rule(routes, domain) ||
	    find_own_assign(routes, domain) !=
	    NULL || /* what it lacks is found */
	    strlist_has_name(
		settings_list(routes->settings, SETTING_percenthack), domain);
}

static void
take_host(unsigned line, const char *value, void *context)
{
	struct routes *routes = context;
	OWN_TEXT domain = fold(value);

	if (!is_routed(routes, domain) && check_crowd_has_room(&routes->lost))
		check_find(routes->check, CHECK_WARNING, routes->path, line,
		    "'%s' is neither in virtualdomains nor in locals, so its "
		    "mail is taken for another host's and waits in the queue" REMEDY
		    "vadddomain %s if its users are here, else remove it",
		    domain, domain);
}

/* morercpthosts.cdb. */
static void
check_more(struct routes *routes)
{
	OWN_TEXT path = layout_path(
	    routes->check->node->home, LAYOUT_morercpthosts_cdb);
	AUTO(cdb_records_release) struct cdb_records records = { .count = 0 };
	struct cdb_record record;
	struct error err = { .text = "" };
	bool is_bad = cdb_records_read(path, &records, &err) == -1;

	routes->path = path;
	routes->lost = (struct check_crowd){ .level = CHECK_WARNING };
	while (cdb_records_next(&records, &record)) {
		OWN_TEXT host = xstrndup(record.key, record.key_length);

		if (strlen(host) == record.key_length &&
		    settings_check_value(SETTING_rcpthosts, host, NULL) == 0)
			take_host(0, host, routes);
		else if (!is_bad)
			is_bad = error_set(&err,
				     "it has entries that are not of the right "
				     "form: it was made of something else") ==
			    -1;
	}
	if (is_bad) {
		check_find(routes->check, CHECK_ERROR, path, 0,
		    "%s" REMEDY "run %s", err.text,
		    layout_rows[LAYOUT_morercpthosts_cdb].maker);
	} else
		routes->hosts = rcpthosts_new(
		    routes->check->node->home->control, routes->settings, NULL);
	check_crowd_end(
	    routes->check, &routes->lost, path, "vadddomain, or remove them");
}

static void
check_open_relay(
    struct check *check, const char *rcpthosts, const char *virtualdomains)
{
	if (access(rcpthosts, F_OK) == 0 || errno != ENOENT)
		return;
	check_find(check, CHECK_ERROR, rcpthosts, 0,
	    "it does not exist, so mail for every domain is taken from "
	    "everybody: an open relay" REMEDY
	    "(cat '%s/locals'; sed 's/:.*//' '%s') > '%s', look through it, "
	    "then svc -h the listeners",
	    check->node->home->control, virtualdomains, rcpthosts);
}

void
check_routes(struct check *check, const struct check_assigns *assigns)
{
	const struct home *home = check->node->home;
	OWN_TEXT virtual = layout_path(home, LAYOUT_setting, "virtualdomains");
	OWN_TEXT hosts = layout_path(home, LAYOUT_setting, "rcpthosts");
	struct routes routes = { .check = check, .assigns = assigns };
	struct error err;

	/*
	 * Those of before may be of before a command's change.  What is wrong
	 * in them check_settings() has said.
	 */
	routes.settings = settings_load_all(home->control, NULL, NULL, NULL);
	routes.route = route_new(routes.settings, &err);
	walk_setting(&routes, SETTING_virtualdomains, take_rule, virtual);
	if (routes.count > 1)
		qsort(routes.rules, routes.count, sizeof(*routes.rules),
		    compare_by_key);
	check_more(&routes);
	routes.path = virtual;
	for (size_t i = 0; i < routes.count; i++)
		check_rule(&routes, &routes.rules[i]);
	for (size_t i = 0; i < assigns->count; i++)
		check_assigned(&routes, &assigns->items[i]);
	walk_setting(&routes, SETTING_rcpthosts, take_host, hosts);
	check_open_relay(check, hosts, virtual);
	rcpthosts_free(&routes.hosts);
	route_free(&routes.route);
	settings_free(&routes.settings);
	for (size_t i = 0; i < routes.count; i++)
		free(routes.rules[i].key);
	free(routes.rules);
}
