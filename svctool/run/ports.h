/* SPDX-License-Identifier: ISC */
/* The addresses that a node listens on. */
#ifndef SVCTOOL_RUN_PORTS_H
#define SVCTOOL_RUN_PORTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/error.h"
#include "control/port_address.h"
#include "svctool/run/proc.h"

/* Where a client of this host connects to; the length. */
socklen_t port_connect_address(
    const struct port_address *address, struct sockaddr_storage *where_out);

/*
 * Can it be bound now?  1; 0 when somebody has it, or we may not, with the
 * reason and what to do; -1.
 */
int port_is_free(const struct port_address *address, struct error *err);

/*
 * Could we listen there, if nobody did?  False with the reason: it needs root,
 * or is no address of this host.
 */
bool port_is_allowed(const struct port_address *address, struct error *err);

/*
 * The inodes of the sockets that listen there, or around so that nobody else
 * can, at most max of them; several processes may share a port.  As the kernel
 * says (/proc/net/tcp).  Returns how many.
 */
size_t port_listeners(
    const struct port_address *address, uint64_t *inodes_out, size_t max);

/*
 * Who holds one of these; root not NULL: and does not work in that folder.
 * text_out is "NAME (pid N)", or says that it cannot be told.  1; 0 nobody; -1
 * nobody that we can see, but somebody whom we may not look into.
 */
enum { PORT_TAKER_SIZE = 64 };
int port_find_taker(const struct port_address *address, const char *root,
    struct proc *taker_out, char text_out[PORT_TAKER_SIZE]);

#endif
