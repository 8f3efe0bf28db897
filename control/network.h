/* SPDX-License-Identifier: ISC */
/* IP addresses and networks as texts. */
#ifndef CONTROL_NETWORK_H
#define CONTROL_NETWORK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

struct network {
	int family;
	unsigned char bytes[16]; /* in network order, behind bits 0 */
	unsigned bits;
};

/*
 * "192.0.2.1", "2001:db8::1", the same in [ ] or as "[IPv6:...]", with "/BITS"
 * or without (then all).  False when it is none.
 */
bool network_read(const char *text, size_t length, struct network *network_out);

/* An IPv4 address that IPv6 wraps (::ffff:0:0/96) is that of IPv4. */
bool network_has(const struct network *network, const struct sockaddr *address);

/* The address, without the bits, with this port; false for a network. */
bool network_address(const struct network *network, unsigned short port,
    struct sockaddr_storage *address_out);

/*
 * An address with a port: "192.0.2.1", "192.0.2.1:628", "2001:db8::1",
 * "[2001:db8::1]:628"; without one it is standard_port.  False when it is none.
 */
bool network_read_endpoint(const char *text, unsigned short standard_port,
    struct sockaddr_storage *address_out);

#endif
