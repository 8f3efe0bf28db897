/* SPDX-License-Identifier: ISC */
/* Where to listen: an address and a port as a text. */
#include "control/port_address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/scan.h"

int
port_parse(const char *text, const char *standard_ip,
    struct port_address *address_out, struct error *err)
{
	const char *colon = strrchr(text, ':');
	const char *ip = colon == NULL ? standard_ip : text;
	size_t length = colon == NULL ? strlen(ip) : (size_t)(colon - text);
	unsigned char unused[16];
	uint64_t port;

	if (length >= 2 && ip[0] == '[' && ip[length - 1] == ']') {
		ip++;
		length -= 2;
	}
	if (length == 0 || (length == 1 && ip[0] == '0')) {
		ip = "0.0.0.0";
		length = strlen(ip);
	}
	if (!scan_u64(colon == NULL ? text : colon + 1, 65535, &port) ||
	    port == 0)
		return error_set(err,
		    "'%s' is not PORT or ADDRESS:PORT with a port of 1 to "
		    "65535",
		    text);
	if (length >= sizeof(address_out->ip))
		return error_set(err, "the address of '%s' is too long", text);
	snprintf(
	    address_out->ip, sizeof(address_out->ip), "%.*s", (int)length, ip);
	address_out->port = (uint16_t)port;
	if (inet_pton(AF_INET, address_out->ip, unused) != 1 &&
	    inet_pton(AF_INET6, address_out->ip, unused) != 1)
		return error_set(
		    err, "'%s' is not an IP address", address_out->ip);
	return 0;
}
