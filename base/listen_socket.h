/* SPDX-License-Identifier: ISC */
/* Sockets that wait for connections; part of base/listener.h. */
#ifndef BASE_LISTEN_SOCKET_H
#define BASE_LISTEN_SOCKET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/listener.h"

/*
 * A blocking, close-on-exec socket bound as options say, and the address that
 * it got; or -1 with the reason.
 */
int listen_socket_open(const struct listener_options *options,
    struct sockaddr_storage *bound_out, struct error *err);

/* True when the address is that of every interface. */
bool listen_socket_is_any(const struct sockaddr_storage *address);

/* The address of either family, IPv4 in v4-mapped form. */
void listen_socket_ip(
    const struct sockaddr_storage *address, struct in6_addr *ip_out);

/* The other way: the bytes of an address of a family, and a port. */
void listen_socket_fill(int family, const void *ip, uint16_t port,
    struct sockaddr_storage *address_out);

/* The same as text (never v4-mapped), with the port. */
void listen_socket_text(const struct sockaddr_storage *address, char *text,
    size_t size, uint16_t *port_out);

#endif
