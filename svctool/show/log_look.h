/* SPDX-License-Identifier: ISC */
/* Are a service's log lines written down? */
#ifndef SVCTOOL_SHOW_LOG_LOOK_H
#define SVCTOOL_SHOW_LOG_LOOK_H

#include "base/error.h"
#include "svctool/node.h"
#include "svctool/run/supervise.h"

enum log_look {
	LOG_NONE, /* it has no log of its own, or another supervisor's */
	LOG_UP,
	LOG_DOWN,    /* no process reads the lines */
	LOG_STOPPED, /* its process was stopped by a signal */
	LOG_STUCK,   /* its process runs, and reads nothing */
	LOG_FULL     /* the filesystem of log/NAME has no room */
};

/*
 * service and log: what supervise says of both.  Takes up to a second when
 * lines wait, to see whether they are read.  Neither NONE nor UP: err says
 * what is wrong, and what to do.
 */
enum log_look log_look(const struct node *node, const char *name,
    const struct supervise_state *service, const struct supervise_state *log,
    struct error *err);

/* "-", "up", "down", "stopped", "stuck", "full". */
const char *log_look_name(enum log_look look);

#endif
