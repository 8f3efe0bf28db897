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
