/* SPDX-License-Identifier: ISC */
/* The variables of one session. */
#include "base/vars.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

void
vars_release(struct vars *vars)
{
	size_t i;

	for (i = 0; i < vars->count; i++) {
		free(vars->entries[i].name);
		free(vars->entries[i].value);
	}
	free(vars->entries);
	*vars = (struct vars)VARS_INIT;
}

static struct vars_entry *
find_variable(const struct vars *vars, const char *name, size_t length)
{
	size_t i;

	if (vars == NULL)
		return NULL;
	for (i = 0; i < vars->count; i++) {
		struct vars_entry *entry = &vars->entries[i];

		if (strncmp(entry->name, name, length) == 0 &&
		    entry->name[length] == '\0')
			return entry;
	}
	return NULL;
}

void
vars_set(struct vars *vars, const char *name, const char *value)
{
	struct vars_entry *entry = find_variable(vars, name, strlen(name));

	if (entry == NULL) {
		vars->entries = xrealloc(
		    vars->entries, (vars->count + 1) * sizeof(*vars->entries));
		entry = &vars->entries[vars->count++];
		entry->name = xstrdup(name);
	} else
		free(entry->value);
	entry->value = value == NULL ? NULL : xstrdup(value);
}

const char *
vars_get(const struct vars *vars, const char *name)
{
	const struct vars_entry *entry = find_variable(
	    vars, name, strlen(name));

	return entry != NULL ? entry->value : getenv(name);
}

char **
vars_make_environment(const struct vars *vars)
{
	size_t count = vars->count, used = 0, i;
	char **environment;

	for (i = 0; environ[i] != NULL; i++)
		count++;
	environment = xcalloc(count + 1, sizeof(*environment));
	for (i = 0; environ[i] != NULL; i++)
		if (find_variable(vars, environ[i], strcspn(environ[i], "=")) ==
		    NULL)
			environment[used++] = xstrdup(environ[i]);
	for (i = 0; i < vars->count; i++)
		if (vars->entries[i].value != NULL)
			environment[used++] = xasprintf("%s=%s",
			    vars->entries[i].name, vars->entries[i].value);
	return environment;
}

void
vars_free_environment(char **environment)
{
	size_t i;

	for (i = 0; environment[i] != NULL; i++)
		free(environment[i]);
	free(environment);
}
