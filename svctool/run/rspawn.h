/* SPDX-License-Identifier: ISC */
/* What a running qmail-rspawn is asked (remote/operate.h). */
#ifndef SVCTOOL_RUN_RSPAWN_H
#define SVCTOOL_RUN_RSPAWN_H

#include "base/error.h"
#include "remote/operate.h"
#include "svctool/node.h"

/*
 * A connection to it, whose answers must come within timeout_ms.  -1 with the
 * reason and errno, which is ENOENT or ECONNREFUSED when it does not run.
 */
int rspawn_connect(const struct node *node, int timeout_ms, struct error *err);

/*
 * One request: each, unless it is NULL, is called for each destination of the
 * answer.  enum operate_code, or -1; the reason unless OPERATE_DONE.
 */
int rspawn_ask(int connection, enum operate_action action, const char *domain,
    void (*each)(const struct operate_destination *destination, void *context),
    void *context, int timeout_ms, struct error *err);

/*
 * The first file in control/ that was changed after a running qmail-rspawn has
 * read its settings, for the caller to free; NULL: none, or it does not run.
 */
char *rspawn_unread(const struct node *node);

#endif
