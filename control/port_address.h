/* SPDX-License-Identifier: ISC */
/* Where to listen: an address and a port as a text. */
#ifndef CONTROL_PORT_ADDRESS_H
#define CONTROL_PORT_ADDRESS_H

#include <stdint.h>

#include "base/error.h"

struct port_address {
	char ip[64]; /* numeric; "0.0.0.0" for "0" and "" */
	uint16_t port;
};

/*
 * Takes ADDRESS:PORT, [IPV6]:PORT or PORT apart (standard_ip is then the
 * address).  0, or -1 with the reason.
 */
int port_parse(const char *text, const char *standard_ip,
    struct port_address *address_out, struct error *err);

#endif
