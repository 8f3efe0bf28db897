/* SPDX-License-Identifier: ISC */
/*
 * The variables of one session: what access rules and envrules set.
 *
 * They lie over the process's environment: a name set here hides the
 * environment's, a name unset here is unset although the environment has it.
 * A table belongs to one thread; the environment underneath is only read.
 */
#ifndef BASE_VARS_H
#define BASE_VARS_H

#include <stddef.h>

struct vars_entry {
	char *name;
	char *value; /* NULL: unset */
};

struct vars {
	struct vars_entry *entries;
	size_t count;
};

#define VARS_INIT                           \
	{                                   \
		.entries = NULL, .count = 0 \
	}

void vars_release(struct vars *vars);

/* value NULL unsets; both texts are copied. */
void vars_set(struct vars *vars, const char *name, const char *value);

/*
 * The value, or NULL when unset.  Valid until the name is set again.  vars may
 * be NULL: then only the environment is asked.
 */
const char *vars_get(const struct vars *vars, const char *name);

/*
 * An environment for a program to be started: a NULL-ended array to be freed
 * with vars_free_environment().
 */
char **vars_make_environment(const struct vars *vars);
void vars_free_environment(char **environment);

#endif
