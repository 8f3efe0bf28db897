/* SPDX-License-Identifier: ISC */
/*
 * control/global_vars: the environment of every service of a node, one variable
 * a file (envdir), which the programs that an operator runs must have too.
 */
#ifndef CONTROL_GLOBAL_VARS_H
#define CONTROL_GLOBAL_VARS_H

#include <stddef.h>

#include "control/home.h"

/*
 * The value that envdir takes from a file: the first line without blanks at its
 * end, and a newline for each NUL.  The caller frees.
 */
char *global_vars_parse(const char *text, size_t length);

/* The same of a variable's file; NULL: no file.  The caller frees. */
char *global_vars_read(const char *path);

/* What a walk tells; texts are valid until it returns. */
struct global_vars_visitor {
	/* NULL: the file is empty, so envdir unsets the variable. */
	void (*variable)(const char *path, const char *name, const char *value,
	    void *context);
	/* With it envdir fails, and behind "; " what is to be done; or NULL. */
	void (*fault)(const char *path, const char *reason, void *context);
	void *context;
};

/* Goes through a folder of variables, as envdir does.  0, or -1 with errno. */
int global_vars_walk(
    const char *folder, const struct global_vars_visitor *visitor);

/*
 * Puts the variables of a folder into our environment.  What is already there
 * stays: the operator said so.
 */
void global_vars_take(const char *folder);

/*
 * home_new() with the global variables of that node: they may name other
 * folders, and who the node runs as.
 */
struct home *global_vars_home(void);

#endif
