/* SPDX-License-Identifier: ISC */
/* Is a service of the node doing its work? */
#ifndef SVCTOOL_RUN_READY_H
#define SVCTOOL_RUN_READY_H

#include <stdbool.h>

#include "base/error.h"
#include "svctool/node.h"
#include "svctool/run/ports.h"
#include "svctool/run/supervise.h"

enum ready {
	READY_NO,
	READY_HUNG,     /* runs, and answers nobody */
	READY_SCANNING, /* a queue: takes mail, still looks through its own */
	READY_YES
};

/* SCANNING or YES. */
bool ready_does_work(enum ready ready);

/*
 * A queue is ready when its qmail-send takes mail, a listener when its own
 * process listens on its port and greets who connects, the resolver and remote
 * delivery when their sockets are served, anything else when supervise has a
 * living process for it.  A service that is not under supervise may be another
 * supervisor's: then it counts that a process of this node does the work.  One
 * hangs when a process of it is stopped by a signal, when it greets nobody, or,
 * of a queue, when its qmail-send has said nothing for longer than
 * HEALTH_SILENT_MS.  state is what supervise says of it.  When READY_NO or
 * HUNG, err says what is missing, and what to do.
 */
enum ready ready_service(const struct node *node, const char *name,
    const struct supervise_state *state, struct error *err);
/* The same of a queue, whoever runs it. */
enum ready ready_queue(
    const struct node *node, const char *name, struct error *err);

/* The state that supervise knows of it.  0 or -1. */
int ready_read_state(const struct node *node, const char *name,
    struct supervise_state *state_out, struct error *err);

/* Is there a file "down", so that svscan's start does not start it? */
bool ready_has_down_file(const struct node *node, const char *name);

/*
 * Is it down because the operator wants it so: by the file "down", or by svc?
 * Then err says what brings it up.
 */
bool ready_is_down_by_wish(const struct node *node, const char *name,
    const struct supervise_state *state, struct error *err);

/* Where a listener listens, by its variable LISTEN.  0 or -1. */
int ready_listen_address(const struct node *node, const char *name,
    struct port_address *address_out, struct error *err);

/* Is the service one of the node's queues? */
bool ready_is_queue(const struct node *node, const char *name);

#endif
