/* SPDX-License-Identifier: ISC */
/* The environment that a service starts with. */
#include "svctool/service_env.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "control/global_vars.h"

enum { VARIABLE_MAX = 65536 };

static void
read_variable(const char *folder, const char *name, struct vars *vars)
{
	char *path = xasprintf("%s/%s", folder, name);
	struct buf text;

	buf_init(&text);
	if (file_read(path, VARIABLE_MAX, &text, NULL) == 1) {
		char *value = text.length > 0
		    ? global_vars_parse(text.data, text.length)
		    : NULL;

		vars_set(vars, name, value);
		free(value);
	}
	buf_release(&text);
	free(path);
}

static void
read_folder_vars(const char *folder, struct vars *vars)
{
	DIR *dir = opendir(folder);
	const struct dirent *entry;

	while (dir != NULL && (entry = readdir(dir)) != NULL)
		if (entry->d_name[0] != '.')
			read_variable(folder, entry->d_name, vars);
	if (dir != NULL)
		closedir(dir);
}

void
service_env_read(
    const struct node *node, const char *service, struct service_env *env_out)
{
	*env_out = (struct service_env){
		.vars = VARS_INIT,
		.own = VARS_INIT,
		.own_folder = xasprintf(
		    "%s/%s/variables", node->home->service, service),
		.global_folder = xstrdup(node->global_vars),
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
find_entry(const struct vars *vars, const char *name)
{
	for (size_t i = 0; i < vars->count; i++)
		if (strcmp(vars->entries[i].name, name) == 0)
			return &vars->entries[i];
	return NULL;
}

const char *
service_env_get(const struct service_env *env, const char *name)
{
	const struct vars_entry *entry = find_entry(&env->vars, name);

	return entry != NULL && entry->value != NULL && *entry->value != '\0'
	    ? entry->value
	    : NULL;
}

char *
service_env_file(const struct service_env *env, const char *name)
{
	bool is_global = find_entry(&env->own, name) == NULL &&
	    find_entry(&env->vars, name) != NULL;

	return xasprintf(
	    "%s/%s", is_global ? env->global_folder : env->own_folder, name);
}

void
service_env_take(const struct service_env *env, const struct node *node)
{
	const char *path = getenv("PATH");
	char *kept = path != NULL ? xstrdup(path) : NULL;

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
	free(kept);
}
