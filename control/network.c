/* SPDX-License-Identifier: ISC */
/* IP addresses and networks as texts. */
#include "control/network.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

#include "base/listen_socket.h"
#include "base/scan.h"

static unsigned
family_bits(int family)
{
	return family == AF_INET ? 32 : 128;
}

static void
clear_host_bits(struct network *network)
{
	for (unsigned i = 0; i < sizeof(network->bytes); i++) {
		unsigned kept = network->bits > 8 * i ? network->bits - 8 * i
						      : 0;

		if (kept < 8)
			network->bytes[i] &= (unsigned char)(0xff00 >> kept);
	}
}

bool
network_read(const char *text, size_t length, struct network *network_out)
{
	const char *end = text + length;
	const char *slash = memchr(text, '/', length);
	size_t address_length = slash == NULL ? length : (size_t)(slash - text);
	char address[INET6_ADDRSTRLEN];
	uint64_t bits;

	if (address_length >= 2 && *text == '[' &&
	    text[address_length - 1] == ']') {
		text++;
		address_length -= 2;
		if (address_length > 5 && strncasecmp(text, "IPv6:", 5) == 0) {
			text += 5;
			address_length -= 5;
		}
	}
	if (address_length >= sizeof(address))
		return false;
	memcpy(address, text, address_length);
	address[address_length] = '\0';
	*network_out = (struct network){
		.family = strchr(address, ':') != NULL ? AF_INET6 : AF_INET
	};
	if (strlen(address) != address_length ||
	    inet_pton(network_out->family, address, network_out->bytes) != 1)
		return false;
	bits = family_bits(network_out->family);
	if (slash != NULL &&
	    !scan_u64n(slash + 1, (size_t)(end - slash) - 1, bits, &bits))
		return false;
	network_out->bits = (unsigned)bits;
	clear_host_bits(network_out);
	return true;
}

static void
address_bytes(const struct sockaddr *address, struct network *network_out)
{
	static const unsigned char wrapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		0xff, 0xff };
	struct sockaddr_in ip4;
	struct sockaddr_in6 ip6;

	*network_out = (struct network){ .family = address->sa_family };
	if (address->sa_family == AF_INET) {
		memcpy(&ip4, address, sizeof(ip4));
		memcpy(network_out->bytes, &ip4.sin_addr, 4);
	} else if (address->sa_family == AF_INET6) {
		memcpy(&ip6, address, sizeof(ip6));
		if (memcmp(&ip6.sin6_addr, wrapped, sizeof(wrapped)) == 0) {
			network_out->family = AF_INET;
			memcpy(network_out->bytes,
			    (const char *)&ip6.sin6_addr + 12, 4);
		} else
			memcpy(network_out->bytes, &ip6.sin6_addr, 16);
	}
}

bool
network_has(const struct network *network, const struct sockaddr *address)
{
	struct network one;

	address_bytes(address, &one);
	one.bits = network->bits;
	clear_host_bits(&one);
	return one.family == network->family &&
	    memcmp(one.bytes, network->bytes, sizeof(one.bytes)) == 0;
}

bool
network_address(const struct network *network, unsigned short port,
    struct sockaddr_storage *address_out)
{
	memset(address_out, 0, sizeof(*address_out));
	if (network->bits != family_bits(network->family))
		return false;
	listen_socket_fill(network->family, network->bytes, port, address_out);
	return true;
}

bool
network_read_endpoint(const char *text, unsigned short standard_port,
    struct sockaddr_storage *address_out)
{
	const char *colon = strrchr(text, ':');
	uint64_t port = standard_port;
	struct network network;
	size_t length = strlen(text);

	/* Without brackets several colons are those of IPv6. */
	if (colon != NULL && colon > text &&
	    (colon[-1] == ']' || strchr(text, ':') == colon)) {
		if (!scan_u64(colon + 1, UINT16_MAX, &port) || port == 0)
			return false;
		length = (size_t)(colon - text);
	}
	return memchr(text, '/', length) == NULL &&
	    network_read(text, length, &network) &&
	    network_address(&network, (unsigned short)port, address_out);
}
