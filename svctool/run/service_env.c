/* SPDX-License-Identifier: ISC */
/* The environment that a service starts with. */
#include "svctool/run/service_env.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "control/global_vars.h"
#include "pop3/options.h"

enum { WORDS_MAX = 32 };

static void
take_env_variable(
    const char *path, const char *name, const char *value, void *context)
{
	(void)path;
	vars_set(context, name, value);
}

static void
read_folder_vars(const char *folder, struct vars *vars)
{
	const struct global_vars_visitor visitor = {
		.variable = take_env_variable, .context = vars
	};

	global_vars_walk(folder, &visitor);
}

void
service_env_read(
    const struct node *node, const char *service, struct service_env *env_out)
{
	*env_out = (struct service_env){
		.vars = VARS_INIT,
		.own = VARS_INIT,
		.own_folder = node_layout_path(
		    node, LAYOUT_service_vars, service),
		.global_folder = node_layout_path(node, LAYOUT_global_vars),
		.is_pop3 = node_is_pop3(service),
	};
	read_folder_vars(env_out->global_folder, &env_out->vars);
	read_folder_vars(env_out->own_folder, &env_out->own);
	for (size_t i = 0; i < env_out->own.count; i++)
		vars_set(&env_out->vars, env_out->own.entries[i].name,
		    env_out->own.entries[i].value);
}

void
service_env_release(struct service_env *env)
{
	vars_release(&env->vars);
	vars_release(&env->own);
	free(env->own_folder);
	free(env->global_folder);
}

static const struct vars_entry *
find_env_entry(const struct vars *vars, const char *name)
{
	for (size_t i = 0; i < vars->count; i++)
		if (strcmp(vars->entries[i].name, name) == 0)
			return &vars->entries[i];
	return NULL;
}

const char *
service_env_get(const struct service_env *env, const char *name)
{
	const struct vars_entry *entry = find_env_entry(&env->vars, name);

	return entry != NULL && entry->value != NULL && *entry->value != '\0'
	    ? entry->value
	    : NULL;
}

const char *
service_env_text(const struct service_env *env, const char *name)
{
	const char *value = service_env_get(env, name);

	return value != NULL ? value : "";
}

char *
service_env_file(const struct service_env *env, const char *name)
{
	bool is_global = find_env_entry(&env->own, name) == NULL &&
	    find_env_entry(&env->vars, name) != NULL;

	return xasprintf(
	    "%s/%s", is_global ? env->global_folder : env->own_folder, name);
}

static int
blame_file(const struct service_env *env, const char *name, struct error *err)
{
	OWN_TEXT file = service_env_file(env, name);

	error_context(err, "%s", file);
	return -1;
}

/* sh makes words of OPTIONS. */
static void
add_words(char *text, char **words)
{
	for (size_t i = 0; i < WORDS_MAX; i++) {
		text += strspn(text, " \t");
		if (*text == '\0')
			break;
		words[i] = text;
		text += strcspn(text, " \t");
		if (*text != '\0')
			*text++ = '\0';
	}
}

/* The words of LISTEN, and then also those of more. */
static int
parse_words(const struct service_env *env, const char *more,
    struct smtp_options *options_out, struct error *err)
{
	char option[] = "--listen";
	OWN_TEXT address = xstrdup(service_env_text(env, "LISTEN"));
	OWN_TEXT text = xstrdup(more);
	char *words[WORDS_MAX + 3] = { option, address, NULL };

	add_words(text, words + 2);
	return env->is_pop3 ? pop3_options_parse(options_out, words,
				  service_env_get(env, "POP3S"), err)
			    : smtp_options_parse(options_out, words,
				  service_env_get(env, "SMTPS"), err);
}

int
service_env_listen(const struct service_env *env,
    struct smtp_options *options_out, struct error *err)
{
	return parse_words(env, "", options_out, err) == -1
	    ? blame_file(env, "LISTEN", err)
	    : 0;
}

int
service_env_options(const struct service_env *env,
    struct smtp_options *options_out, struct error *err)
{
	struct error reason;

	if (service_env_listen(env, options_out, err) == -1)
		return -1;
	if (parse_words(env, service_env_text(env, "OPTIONS"), options_out,
		&reason) == 0)
		return 0;
	error_set(err, "%s; write options of %s(8) there, then svctool restart",
	    reason.text, env->is_pop3 ? "qmail-pop3d" : "qmail-smtpd");
	return blame_file(env, "OPTIONS", err);
}

void
service_env_take(const struct service_env *env, const struct node *node)
{
	const char *path = getenv("PATH");
	OWN_TEXT kept = path != NULL ? xstrdup(path) : NULL;

	clearenv();
	if (kept != NULL)
		setenv("PATH", kept, 1);
	setenv("MQMAIL_HOME", node->home->root, 1);
	for (size_t i = 0; i < env->vars.count; i++)
		if (env->vars.entries[i].value != NULL)
			setenv(env->vars.entries[i].name,
			    env->vars.entries[i].value, 1);
		else
			unsetenv(env->vars.entries[i].name);
}
