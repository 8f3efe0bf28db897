/* SPDX-License-Identifier: ISC */
/* The system users and groups of a node that root starts. */
#ifndef SVCTOOL_INIT_USERS_H
#define SVCTOOL_INIT_USERS_H

#include <stdbool.h>

#include "base/error.h"

/* How many of them the system lacks; -1 could not tell. */
int users_missing(struct error *err);

/*
 * Prints the commands that make the missing ones (is_dry), or runs them, each
 * said.  0 or -1.
 */
int users_create(bool is_dry, struct error *err);

#endif
