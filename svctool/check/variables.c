/* SPDX-License-Identifier: ISC */
/*
 * The environment of services: control/global_vars/ for all of them, and
 * service/NAME/variables/ over it; and rules that set variables of sessions:
 * envrules, and the cdb of tcprules.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "control/access.h"
#include "control/envrules.h"
#include "control/global_vars.h"
#include "svctool/check/variable.h"
#include "svctool/run/ready.h"
#include "svctool/run/service_env.h"

static const char restart[] = ", then svctool restart";

/* One file of rules. */
struct rules {
	struct check *check;
	const char *path;
	const char *remedy; /* how a change takes effect */
	struct check_crowd crowd;
};

static void
check_assignments(struct rules *rules, const char *file, unsigned line,
    const char *pattern, const struct vars *vars)
{
	OWN_TEXT what = xasprintf("rule '%.100s': ", pattern);
	const struct check_place place = { .file = file,
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
}

static void
see_envrule(unsigned line, const char *pattern, const struct vars *assignments,
    void *context)
{
	struct rules *rules = context;

	check_assignments(rules, rules->path, line, pattern, assignments);
}

static void
see_envrules_fault(unsigned line, const char *reason, void *context)
{
	struct rules *rules = context;

	if (!check_crowd_has_room(&rules->crowd))
		return;
	check_reason_at(rules->check, CHECK_ERROR, rules->path, line, reason);
}

void
check_envrules(struct check *check, const char *path)
{
	struct rules rules = { .check = check,
		.path = path,
		.remedy = ", then svc -h the listeners" };
	const struct envrules_visitor visitor = { see_envrule,
		see_envrules_fault, &rules };
	struct error err;

	if (envrules_walk(path, &visitor, &err) == -1)
		check_reason(check, CHECK_ERROR, err.text,
		    "make it readable for qmail-smtpd's user");
	check_crowd_end(check, &rules.crowd, path, "correct the lines");
}

static void
see_access_rule(const char *file, unsigned line, const char *key,
    const struct vars *vars, void *context)
{
	check_assignments(context, file, line, key, vars);
}

static void
see_access_fault(const char *file, unsigned line, bool is_useless,
    const char *reason, void *context)
{
	struct rules *rules = context;

	if (check_crowd_has_room(&rules->crowd))
		check_reason_at(rules->check,
		    is_useless ? CHECK_WARNING : CHECK_ERROR, file, line,
		    reason);
}

void
check_access_rules(struct check *check, const char *path)
{
	struct rules rules = { .check = check,
		.path = path,
		.remedy = " in its source, then run tcprules" };
	const struct access_visitor visitor = { see_access_rule,
		see_access_fault, &rules,
		settings_flag(check->settings, SETTING_clientnames) };
	struct error err;

	if (access_walk(path, &visitor, &err) == -1)
		check_find(check, CHECK_ERROR, path, 0,
		    "%s" REMEDY
		    "make it again from its source: 'tcprules %s %s.tmp' with "
		    "the source as input",
		    err.text, path, path);
	check_crowd_end(check, &rules.crowd, path, "run tcprules again");
}

void
check_rules(struct check *check)
{
	OWN_TEXT access = layout_path(check->node->home, LAYOUT_access_cdb);

	check_envrules(
	    check, settings_text(check->settings, SETTING_fromenvrules));
	check_envrules(
	    check, settings_text(check->settings, SETTING_domainqueue));
	check_envrules(
	    check, settings_text(check->settings, SETTING_bouncerules));
	check_access_rules(check, access);
}

/* A folder of variables. */
struct folder {
	struct check *check;
	const char *path;
	struct vars *vars; /* what is read goes there, or NULL */
};

static void
see_variable(
    const char *path, const char *name, const char *value, void *context)
{
	const struct folder *folder = context;
	const struct check_place place = {
		.file = path, .what = "", .remedy = restart
	};
	const char *meant = value != NULL ? check_spelling(name) : NULL;

	if (meant != NULL)
		check_find(folder->check, CHECK_WARNING, path, 0,
		    "nothing reads a variable of this name: was %s meant?" REMEDY
		    "mv '%s' '%s/%s'%s",
		    meant, path, folder->path, meant, restart);
	if (value != NULL)
		check_variable(folder->check, &place, name, value);
	if (folder->vars != NULL)
		vars_set(folder->vars, name, value);
}

static void
see_variable_fault(const char *path, const char *reason, void *context)
{
	const struct folder *folder = context;

	check_reason_at(folder->check, CHECK_ERROR, path, 0, reason);
}

static void
read_folder(struct folder *folder)
{
	const struct global_vars_visitor visitor = { see_variable,
		see_variable_fault, folder };

	if (global_vars_walk(folder->path, &visitor) == 0)
		return;
	check_find(folder->check, CHECK_ERROR, folder->path, 0,
	    "services read their variables there: %s" REMEDY "mkdir '%s'",
	    strerror(errno), folder->path);
}

/*
 * Looks into the file of rules that the variable names, relative to where.
 * That it is there is asked of the daemon (starts.c).
 */
static void
check_named(struct check *check, const struct service_env *env,
    const char *name, const char *where,
    void (*look)(struct check *check, const char *path))
{
	const char *value = service_env_get(env, name);
	OWN_TEXT path = NULL;

	if (value == NULL)
		return;
	path = *value == '/' ? xstrdup(value)
			     : xasprintf("%s/%s", where, value);
	if (access(path, F_OK) == 0)
		look(check, path);
}

/* One process serves all queues, and it is not theirs. */
static void
check_remote_program(struct check *check, const struct service_env *env)
{
	OWN_TEXT file = NULL;

	if (vars_get(&env->own, "QMAILREMOTE") == NULL)
		return;
	file = service_env_file(env, "QMAILREMOTE");
	check_find(check, CHECK_WARNING, file, 0,
	    "the variable has no effect here: the service remote sends the "
	    "mail of all queues" REMEDY "move it to the variables of remote%s",
	    restart);
}

/* What a service has, over what all have. */
static void
check_service_vars(struct check *check, const char *name)
{
	const struct home *home = check->node->home;
	AUTO(service_env_release)
	struct service_env env = { .own_folder = NULL };
	struct folder folder = { .check = check };
	const char *chooser;
	OWN_TEXT cwd = layout_path(home, LAYOUT_service, name);

	service_env_read(check->node, name, &env);
	folder.path = env.own_folder;
	read_folder(&folder);
	if (node_is_listener(name)) {
		check_named(
		    check, &env, "FROMRULES", home->control, check_envrules);
		check_named(
		    check, &env, "DOMAINQUEUE", home->control, check_envrules);
		check_named(check, &env, "TCPRULES", cwd, check_access_rules);
	}
	if (!node_is_remote(name))
		check_remote_program(check, &env);
	chooser = check_queue_chooser(&env.own);
	if (!ready_is_queue(check->node, name) && chooser != NULL) {
		OWN_TEXT file = service_env_file(&env, chooser);
		const struct check_place place = {
			.file = file, .what = "", .remedy = restart
		};

		check_queue_choice(check, &place, &env.vars);
	}
}

void
check_forget_environment(void)
{
	static const char *const others[] = { "QUEUEDIR", "TCPRULES",
		"SERVERCERT", "SMTPS", "OPTIONS", "SMTPROUTES",
		"DOMAINBINDINGS", "HELOHOSTBYIP" };

	for (unsigned id = 0; id < SETTING_COUNT; id++)
		if (*setting_rows[id].env != '\0')
			unsetenv(setting_rows[id].env);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		unsetenv(others[i]);
}

void
check_variables(struct check *check)
{
	const struct node *node = check->node;
	AUTO(vars_release) struct vars global = VARS_INIT;
	struct folder folder = {
		.check = check, .path = node->global_vars, .vars = &global
	};
	struct check_place place = { .what = "", .remedy = restart };
	const char *chooser;
	OWN_TEXT file = NULL;

	read_folder(&folder);
	chooser = check_queue_chooser(&global);
	file = chooser != NULL
	    ? layout_path(node->home, LAYOUT_global_var, chooser)
	    : layout_path(node->home, LAYOUT_setting, "queue_count");
	place.file = file;
	if (chooser == NULL)
		place.remedy = ", then svc -h the listeners";
	check_queue_choice(check, &place, &global);
	check_each(check, node_services, check_service_vars);
}
