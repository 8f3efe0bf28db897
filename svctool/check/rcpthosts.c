/* SPDX-License-Identifier: ISC */
/*
 * control/rcpthosts and morercpthosts: every bad line, and domains whose mail
 * is taken in, but delivered to nobody here.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "svctool/check/cdb.h"
#include "svctool/check/domain.h"

/* One of the two files. */
struct hosts {
	const struct check_routes *routes;
	const char *path;
	struct check_crowd bad, lost;
};

static bool
is_in(const struct strlist *list, const char *domain)
{
	for (size_t i = 0; i < list->count; i++)
		if (strcasecmp(list->items[i], domain) == 0)
			return true;
	return false;
}

/* Then check_virtual() says what virtualdomains lacks. */
static bool
is_assigned(const struct check_routes *routes, const char *domain)
{
	char *address = xasprintf("%s-", domain);
	bool is_found = check_assign_find(
			    routes->assigns, address, strlen(address)) != NULL;

	free(address);
	return is_found;
}

/*
 * As qmail-send looks: the domain, and what it ends with from each dot on.  A
 * wildcard names no domain that might be missing.
 */
static bool
is_routed(const struct check_routes *routes, const char *domain)
{
	const char *at = domain;

	if (*domain == '.' ||
	    is_in(settings_list(routes->settings, SETTING_locals), domain) ||
	    is_in(
		settings_list(routes->settings, SETTING_percenthack), domain) ||
	    routes->has_rule(routes->rules, domain) ||
	    is_assigned(routes, domain))
		return true;
	while ((at = strchr(at + 1, '.')) != NULL)
		if (routes->has_rule(routes->rules, at))
			return true;
	return routes->has_rule(routes->rules, "");
}

static void
look_for_route(struct hosts *hosts, unsigned line, char *domain)
{
	struct check *check = hosts->routes->check;

	for (char *at = domain; *at != '\0'; at++)
		*at = (char)tolower((unsigned char)*at);
	if (is_routed(hosts->routes, domain) ||
	    !check_crowd_has_room(&hosts->lost))
		return;
	check_find(check, CHECK_WARNING, hosts->path, line,
	    "'%s' is neither in virtualdomains nor in locals, so its mail is "
	    "taken for another host's and waits in the queue",
	    domain);
	check_remedy(check,
	    "vadddomain %s if its users are here, else remove it", domain);
}

static void
see_line(unsigned number, char *line, void *context)
{
	struct hosts *hosts = context;
	struct error err;
	char *whole;

	if (settings_check_value(SETTING_rcpthosts, line, &err) == 0) {
		look_for_route(hosts, number, line);
		return;
	}
	if (!check_crowd_has_room(&hosts->bad))
		return;
	whole = xasprintf("%s:%u: %s", hosts->path, number, err.text);
	check_reason(hosts->routes->check, CHECK_ERROR, whole, NULL);
	free(whole);
}

/* Bad ones check_compiled() finds. */
static void
see_record(const struct check_cdb_record *record, void *context)
{
	char *domain = xstrndup(record->key, record->key_length);

	if (settings_check_value(SETTING_rcpthosts, domain, NULL) == 0)
		look_for_route(context, 0, domain);
	free(domain);
}

void
check_rcpthosts(const struct check_routes *routes)
{
	struct check *check = routes->check;
	const char *control = check->node->home->control;
	char *path = xasprintf("%s/rcpthosts", control);
	char *more = xasprintf("%s/morercpthosts.cdb", control);
	struct hosts hosts = { .routes = routes,
		.path = path,
		.lost = { .level = CHECK_WARNING } };
	struct hosts others = { .routes = routes,
		.path = more,
		.lost = { .level = CHECK_WARNING } };

	check_each_line(check, path, see_line, &hosts);
	check_crowd_end(check, &hosts.bad, path, "correct the lines");
	check_crowd_end(check, &hosts.lost, path, "vadddomain, or remove them");
	/* Not to be read, or damaged: check_compiled() says so. */
	check_cdb_file(more, see_record, &others, NULL);
	check_crowd_end(
	    check, &others.lost, more, "vadddomain, or remove them");
	free(more);
	free(path);
}
