/* SPDX-License-Identifier: ISC */
/* Sockets that wait for connections; part of base/listener.h. */
#ifndef BASE_LISTEN_SOCKET_H
#define BASE_LISTEN_SOCKET_H

#include <netinet/in.h>
#include <stdint.h>

#include "base/error.h"
#include "base/listener.h"

/*
 * A non-blocking, close-on-exec socket bound as options say, and its port; or
 * -1 with the reason.
 */
int listen_socket_open(const struct listener_options *options,
    uint16_t *port_out, struct error *err);

/* The address of either family, IPv4 in v4-mapped form. */
void listen_socket_ip(
    const struct sockaddr_storage *address, struct in6_addr *ip_out);

/* The same as text (never v4-mapped), with the port. */
void listen_socket_text(const struct sockaddr_storage *address, char *text,
    size_t size, uint16_t *port_out);

#endif
