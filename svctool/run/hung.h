/* SPDX-License-Identifier: ISC */
/* Does a service run, but answer nobody? */
#ifndef SVCTOOL_RUN_HUNG_H
#define SVCTOOL_RUN_HUNG_H

#include <stdbool.h>

#include "base/error.h"
#include "queue/health.h"
#include "svctool/node.h"
#include "svctool/run/supervise.h"

/*
 * Is one of the service's processes stopped by a signal, or, of a queue, has
 * its qmail-send said nothing for longer than HEALTH_SILENT_MS?  Then err says
 * which, and what to do.
 */
bool hung_service(const struct node *node, const char *name,
    const struct supervise_state *state, struct error *err);

/* The same of a queue, whoever runs it. */
bool hung_queue(const struct node *node, const char *name, struct error *err);

#endif
