/* SPDX-License-Identifier: ISC */
/*
 * control/virtualdomains, and rcpthosts: does mail for each virtual domain get
 * in, and to somebody?
 */
#include <ctype.h>
#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/mem.h"
#include "control/rcpthosts.h"
#include "svctool/check/cdb.h"
#include "svctool/check/domain.h"

/* A good line of virtualdomains: key ":" prefix, both in lower case. */
struct rule {
	unsigned line;
	char *key;
	char *prefix;
};

struct rules {
	struct check *check;
	const struct check_assigns *assigns;
	char *path;
	struct rule *items;
	size_t count, room;
	struct check_crowd bad;
	struct settings *settings; /* as they are now */
	struct rcpthosts *hosts;   /* NULL: not known */
};

static void
fold(char *text)
{
	for (; *text != '\0'; text++)
		*text = (char)tolower((unsigned char)*text);
}

/* "", a domain, .domain, or a mailbox */
static bool
is_key(const char *key)
{
	return *key == '\0' ||
	    settings_check_value(SETTING_locals, key, NULL) == 0 ||
	    settings_check_value(SETTING_extraqueue, key, NULL) == 0;
}

static void
find_bad(struct rules *rules, unsigned line, const char *reason)
{
	char *whole;

	if (!check_crowd_has_room(&rules->bad))
		return;
	whole = xasprintf("%s:%u: %s", rules->path, line, reason);
	check_reason(rules->check, CHECK_ERROR, whole, NULL);
	free(whole);
}

/* A NUL byte check_settings() finds. */
static void
read_line(unsigned number, char *line, void *context)
{
	struct rules *rules = context;
	struct error err;
	char *colon;

	if (settings_check_value(SETTING_virtualdomains, line, &err) == -1) {
		find_bad(rules, number, err.text);
		return;
	}
	fold(line);
	colon = strchr(line, ':');
	*colon = '\0';
	if (!is_key(line) || strpbrk(colon + 1, "/@:") != NULL) {
		error_set(&err,
		    "'%.60s:%.60s' is not a virtual domain; write for example "
		    "example.org:example.org",
		    line, colon + 1);
		find_bad(rules, number, err.text);
		return;
	}
	if (rules->count == rules->room) {
		rules->room = rules->room == 0 ? 16 : 2 * rules->room;
		rules->items = xrealloc(
		    rules->items, rules->room * sizeof(*rules->items));
	}
	rules->items[rules->count++] = (struct rule){ .line = number,
		.key = xstrdup(line),
		.prefix = xstrdup(colon + 1) };
}

static int
compare(const void *a, const void *b)
{
	const struct rule *one = a, *two = b;
	int order = strcmp(one->key, two->key);

	return order != 0 ? order : one->line < two->line ? -1 : 1;
}

static void
check_twice(struct rules *rules)
{
	for (size_t i = 1; i < rules->count; i++) {
		const struct rule *rule = &rules->items[i];

		if (strcmp(rule->key, rule[-1].key) != 0)
			continue;
		check_find(rules->check, CHECK_ERROR, rules->path, rule->line,
		    "'%s' has two lines, this one and line %u", rule->key,
		    rule[-1].line);
		check_remedy(
		    rules->check, "remove one of them, then svc -h the queues");
	}
}

/* Is there somebody for PREFIX-anything: a line of users/assign, or a user? */
static bool
has_receiver(const struct rules *rules, const struct rule *rule)
{
	char *address = xasprintf("%s-", rule->prefix);
	size_t length = strlen(address);
	const struct check_assign *assign;
	bool is_found = false;

	/* A domain's own prefix is vpopmail's; no shorter line is meant. */
	do {
		assign = check_assign_find(rules->assigns, address, length);
		is_found = assign != NULL && assign->is_wildcard;
	} while (
	    !is_found && strcmp(rule->key, rule->prefix) != 0 && length-- > 0);
	free(address);
	if (!is_found) {
		errno = 0;
		is_found = getpwnam(rule->prefix) != NULL || errno != 0;
	}
	return is_found;
}

static bool
is_domain(const char *key)
{
	return *key != '\0' && *key != '.' && strchr(key, '@') == NULL;
}

static bool
is_local(const struct rules *rules, const char *domain)
{
	const struct strlist *list = settings_list(
	    rules->settings, SETTING_locals);

	for (size_t i = 0; i < list->count; i++)
		if (strcasecmp(list->items[i], domain) == 0)
			return true;
	return false;
}

/* The command that adds what is missing of a domain, or of an alias. */
static void
remedy_rcpthosts(const struct rules *rules, const char *domain)
{
	char *address = xasprintf("%s-", domain);
	const struct check_assign *assign = check_assign_find(
	    rules->assigns, address, strlen(address));

	if (assign != NULL && strcmp(assign->user, domain) != 0)
		check_remedy(rules->check, "vaddaliasdomain %s %s", domain,
		    assign->user);
	else
		check_remedy(rules->check, "vadddomain %s", domain);
	free(address);
}

static void
check_rule(struct rules *rules, const struct rule *rule)
{
	struct check *check = rules->check;
	char *mailbox;

	if (*rule->prefix == '\0')
		return; /* an exception */
	if (!has_receiver(rules, rule)) {
		check_find(check, CHECK_ERROR, rules->path, rule->line,
		    "users/assign has no line for the prefix '%s-', so mail "
		    "for '%s' is not delivered",
		    rule->prefix, rule->key);
		check_remedy(check,
		    "vadddomain %s (it takes over a folder that is there), or "
		    "remove the line",
		    rule->prefix);
	}
	if (!is_domain(rule->key))
		return;
	if (is_local(rules, rule->key)) {
		check_find(check, CHECK_ERROR, rules->path, rule->line,
		    "'%s' is also in control/locals, which counts first, so "
		    "its users get no mail",
		    rule->key);
		check_remedy(check,
		    "remove it from '%s/locals', then svc -h the queues",
		    check->node->home->control);
	}
	mailbox = xasprintf("postmaster@%s", rule->key);
	if (rules->hosts != NULL &&
	    rcpthosts_match(rules->hosts, mailbox, NULL) == 0) {
		check_find(check, CHECK_WARNING, rules->path, rule->line,
		    "'%s' is not in rcpthosts, so no mail is taken for it from "
		    "elsewhere",
		    rule->key);
		remedy_rcpthosts(rules, rule->key);
	}
	free(mailbox);
}

static bool
has_rule(const void *context, const char *domain)
{
	const struct rules *rules = context;
	size_t low = 0, high = rules->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(domain, rules->items[middle].key);

		if (order == 0)
			return true;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return false;
}

/* What virtualdomains does not know is taken for another host's. */
static void
check_assigned(const struct rules *rules)
{
	struct check *check = rules->check;

	for (size_t i = 0; i < rules->assigns->count; i++) {
		const struct check_assign *assign = &rules->assigns->items[i];
		char *domain = xstrndup(assign->address, assign->domain_length);

		if (*domain != '\0' && !has_rule(rules, domain)) {
			check_find(check, CHECK_ERROR, rules->assigns->path,
			    assign->line,
			    "control/virtualdomains has no line for the domain "
			    "'%s', so its users get no mail",
			    domain);
			if (strcmp(domain, assign->user) == 0)
				check_remedy(check,
				    "vadddomain %s, or vdeldomain %s", domain,
				    domain);
			else
				check_remedy(check,
				    "vaddaliasdomain %s %s, or vdeldomain %s",
				    domain, assign->user, domain);
		}
		free(domain);
	}
}

static void
check_open_relay(struct check *check, const char *virtualdomains)
{
	char *path = xasprintf("%s/rcpthosts", check->node->home->control);

	if (access(path, F_OK) == -1 && errno == ENOENT) {
		check_find(check, CHECK_ERROR, path, 0,
		    "it does not exist, so mail for every domain is taken from "
		    "everybody: an open relay");
		check_remedy(check,
		    "(cat '%s/locals'; sed 's/:.*//' '%s') > '%s', look "
		    "through it, then svc -h the listeners",
		    check->node->home->control, virtualdomains, path);
	}
	free(path);
}

/* Only a cdb that is known to be whole is looked up in. */
static struct rcpthosts *
load_rcpthosts(const struct rules *rules)
{
	const char *control = rules->check->node->home->control;
	char *more = xasprintf("%s/morercpthosts.cdb", control);
	struct rcpthosts *hosts = NULL;

	if (check_cdb_file(more, NULL, NULL, NULL) != -1)
		hosts = rcpthosts_new(control, rules->settings, NULL);
	free(more);
	return hosts;
}

/* check_settings() has said it. */
static void
ignore(enum setting_id id, const char *reason, void *context)
{
	(void)id;
	(void)reason;
	(void)context;
}

void
check_virtual(struct check *check, const struct check_assigns *assigns)
{
	struct rules rules = { .check = check, .assigns = assigns };

	rules.path = xasprintf("%s/virtualdomains", check->node->home->control);
	check_each_line(check, rules.path, read_line, &rules);
	check_crowd_end(check, &rules.bad, rules.path, "correct the lines");
	if (rules.count > 1)
		qsort(rules.items, rules.count, sizeof(*rules.items), compare);
	check_twice(&rules);
	/* Those of before may be of before a command's change. */
	rules.settings = settings_load_all(
	    check->node->home->control, NULL, ignore, NULL);
	rules.hosts = load_rcpthosts(&rules);
	for (size_t i = 0; i < rules.count; i++)
		check_rule(&rules, &rules.items[i]);
	check_assigned(&rules);
	check_rcpthosts(&(struct check_routes){
	    check, rules.settings, assigns, has_rule, &rules });
	check_open_relay(check, rules.path);
	rcpthosts_free(&rules.hosts);
	settings_free(&rules.settings);
	for (size_t i = 0; i < rules.count; i++) {
		free(rules.items[i].key);
		free(rules.items[i].prefix);
	}
	free(rules.items);
	free(rules.path);
}
