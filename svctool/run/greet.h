/* SPDX-License-Identifier: ISC */
/* Does a listener greet who connects? */
#ifndef SVCTOOL_RUN_GREET_H
#define SVCTOOL_RUN_GREET_H

#include "base/error.h"
#include "svctool/node.h"
#include "svctool/run/ports.h"

enum { GREET_WAIT_MS = 5000 };

/*
 * Connects from this host, for a listener that begins with TLS with that, and
 * waits for a reply, also one that refuses us: who says so is at work.  Then it
 * says QUIT.  1; 0 there was none in time, with the reason; -1 it cannot be
 * told.
 */
int greet_look(const struct port_address *address, bool has_tls_first,
    int wait_ms, struct error *err);

#endif
