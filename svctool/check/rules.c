/* SPDX-License-Identifier: ISC */
/* Rules that set session variables: envrules, and the cdb of tcprules. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "control/envrules.h"
#include "svctool/check/cdb.h"
#include "svctool/check/variable.h"

/* One file of rules. */
struct rules {
	struct check *check;
	const char *path;
	const char *remedy; /* how a change takes effect */
	struct check_crowd crowd;
};

static void
check_assignments(struct rules *rules, unsigned line, const char *pattern,
    const struct vars *vars)
{
	char *what = xasprintf("rule '%.100s': ", pattern);
	const struct check_place place = { .file = rules->path,
		.line = line,
		.what = what,
		.remedy = rules->remedy,
		.is_session = true };

	for (size_t i = 0; i < vars->count; i++)
		if (vars->entries[i].value != NULL)
			check_variable(rules->check, &place,
			    vars->entries[i].name, vars->entries[i].value);
	if (check_queue_chooser(vars) != NULL)
		check_queue_choice(rules->check, &place, vars);
	free(what);
}

static void
see_rule(unsigned line, const char *pattern, const struct vars *assignments,
    void *context)
{
	check_assignments(context, line, pattern, assignments);
}

static void
see_fault(unsigned line, const char *reason, void *context)
{
	struct rules *rules = context;
	char *whole;

	if (!check_crowd_has_room(&rules->crowd))
		return;
	whole = xasprintf("%s:%u: %s", rules->path, line, reason);
	check_reason(rules->check, CHECK_ERROR, whole, NULL);
	free(whole);
}

void
check_envrules(struct check *check, const char *path)
{
	struct rules rules = { .check = check,
		.path = path,
		.remedy = ", then svc -h the listeners" };
	const struct envrules_visitor visitor = { see_rule, see_fault, &rules };
	struct error err;

	if (envrules_walk(path, &visitor, &err) == -1)
		check_reason(check, CHECK_ERROR, err.text,
		    "make it readable for qmail-smtpd's user");
	check_crowd_end(check, &rules.crowd, path, "correct the lines");
}

/* What tcprules made of one rule: "D", and "+NAME=VALUE", each with a NUL. */
static void
see_access_rule(const struct check_cdb_record *record, void *context)
{
	struct rules *rules = context;
	const char *at = record->value, *end = at + record->value_length;
	char *key = xstrndup(record->key, record->key_length);
	struct vars vars = VARS_INIT;
	bool is_right = record->value_length == 0 || end[-1] == '\0';

	for (; is_right && at < end; at += strlen(at) + 1) {
		const char *equals = *at == '+' ? strchr(at, '=') : NULL;
		char *name;

		if (*at != '+')
			continue;
		is_right = equals != NULL && equals > at + 1;
		if (!is_right)
			break;
		name = xstrndup(at + 1, (size_t)(equals - at - 1));
		vars_set(&vars, name, equals + 1);
		free(name);
	}
	if (!is_right && check_crowd_has_room(&rules->crowd)) {
		check_find(rules->check, CHECK_ERROR, rules->path, 0,
		    "rule '%.100s' is damaged", key);
		check_remedy(rules->check, "run tcprules again");
	}
	check_assignments(rules, 0, key, &vars);
	vars_release(&vars);
	free(key);
}

void
check_access_rules(struct check *check, const char *path)
{
	struct rules rules = { .check = check,
		.path = path,
		.remedy = " in its source, then run tcprules" };
	struct error err;

	if (check_cdb_file(path, see_access_rule, &rules, &err) == -1) {
		check_find(check, CHECK_ERROR, path, 0, "%s", err.text);
		check_remedy(check,
		    "make it again from its source: 'tcprules %s %s.tmp' with "
		    "the source as input",
		    path, path);
	}
	check_crowd_end(check, &rules.crowd, path, "run tcprules again");
}

void
check_rules(struct check *check)
{
	char *access = xasprintf("%s/tcp.smtp.cdb", check->node->home->control);

	check_envrules(
	    check, settings_text(check->settings, SETTING_fromenvrules));
	check_envrules(
	    check, settings_text(check->settings, SETTING_domainqueue));
	check_access_rules(check, access);
	free(access);
}
