/* SPDX-License-Identifier: ISC */
/* Is a service of the node doing its work? */
#ifndef SVCTOOL_READY_H
#define SVCTOOL_READY_H

#include <stdbool.h>

#include "base/error.h"
#include "svctool/node.h"
#include "svctool/ports.h"

/*
 * A queue is ready when its qmail-send takes mail, a listener when somebody
 * listens on its port, anything else when supervise has a process for it.  A
 * service with a file "down" need not be.  When false, err says what is
 * missing.
 */
bool ready_service(
    const struct node *node, const char *name, struct error *err);

/* Is it meant to stay down (there is a file "down")? */
bool ready_is_down(const struct node *node, const char *name);

/* Where a listener listens, from its variables.  0 or -1. */
int ready_listen_address(const struct node *node, const char *name,
    struct port_address *address_out, struct error *err);

/* Is the service one of the node's queues? */
bool ready_is_queue(const struct node *node, const char *name);

#endif
