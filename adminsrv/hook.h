/* SPDX-License-Identifier: ISC */
/*
 * The operator's program that is told of each change (setting posthandle, the
 * variable POST_HANDLE).
 */
#ifndef ADMINSRV_HOOK_H
#define ADMINSRV_HOOK_H

#include <stdbool.h>
#include <stddef.h>

#include "adminsrv/result.h"
#include "base/error.h"
#include "control/home.h"

/*
 * Runs it, if there is one, as who runs the command: with the items as
 * arguments, the command's name in COMMAND, and never by a shell.  With
 * is_list the items come on descriptor 0, one a line, and there are no
 * arguments.  A failure says that the change itself is made.
 */
enum admin_result hook_run(const struct home *home, const char *command,
    const char *const *items, size_t count, bool is_list, struct error *err);

#endif
