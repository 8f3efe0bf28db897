/* SPDX-License-Identifier: ISC */
/* The parts of svctool db; each prints what it does. */
#ifndef SVCTOOL_DB_DB_H
#define SVCTOOL_DB_DB_H

#include <stdbool.h>

#include "base/error.h"
#include "svctool/node.h"

/* Exit codes (svctool.h), after the reason was printed. */
int db_init(const struct node *node);
int db_upgrade(const struct node *node);
int db_status(const struct node *node, bool is_json);
int db_check(const struct node *node, bool is_json);
int db_local(const struct node *node);

#endif
