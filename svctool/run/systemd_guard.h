/* SPDX-License-Identifier: ISC */
/*
 * Services that systemd runs, by the units of svctool systemd: it starts again
 * whatever of them somebody else ends.
 */
#ifndef SVCTOOL_RUN_SYSTEMD_GUARD_H
#define SVCTOOL_RUN_SYSTEMD_GUARD_H

#include <stdbool.h>

#include "base/error.h"
#include "svctool/node.h"

/* Is a process with this /proc/PID/cgroup in mqmail-SERVICE.service? */
bool systemd_guard_is_unit(const char *cgroup, const char *service);

/*
 * Is the service (NULL: any of the node) run by systemd now?  0 when it is not;
 * -1 when it is, with what to do instead, or when that is not known.
 */
int systemd_guard(
    const struct node *node, const char *service, struct error *err);

#endif
