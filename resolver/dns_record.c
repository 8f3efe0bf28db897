/* SPDX-License-Identifier: ISC */
/* What DNS records say. */
#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/listen_socket.h"

#include "resolver/dns.h"

enum { LABEL_MAX = 63 };

static bool
is_host_character(unsigned char c)
{
	return isalnum(c) || c == '-' || c == '_';
}

/* Reads a whole name (RFC 1035 3.1), which ends where the data does. */
static bool
read_wire_name(
    const unsigned char *data, size_t length, char name_out[DNS_NAME_SIZE])
{
	size_t used = 0, i;

	while (length > 0 && *data != 0) {
		size_t label = *data++;

		length--;
		if (label > LABEL_MAX || label > length ||
		    used + label + 2 > DNS_NAME_SIZE)
			return false;
		for (i = 0; i < label; i++)
			if (!is_host_character(data[i]))
				return false;
		if (used > 0)
			name_out[used++] = '.';
		memcpy(name_out + used, data, label);
		used += label;
		data += label;
		length -= label;
	}
	name_out[used] = '\0';
	return length == 1;
}

bool
dns_read_mx(const struct dns_record *record, struct dns_mx *mx_out)
{
	if (record->length < 3)
		return false;
	mx_out->preference = record->data[0] * 256u + record->data[1];
	return read_wire_name(
	    record->data + 2, record->length - 2, mx_out->host);
}

bool
dns_read_name(const struct dns_record *record, char name_out[DNS_NAME_SIZE])
{
	return read_wire_name(record->data, record->length, name_out) &&
	    name_out[0] != '\0';
}

bool
dns_read_text(const struct dns_record *record, struct buf *out)
{
	const unsigned char *at = record->data;
	size_t left = record->length;

	if (left == 0)
		return false;
	while (left > 0) {
		size_t length = *at++;

		left--;
		if (length > left)
			return false;
		buf_add(out, at, length);
		at += length;
		left -= length;
	}
	return true;
}

bool
dns_read_address(const struct dns_record *record, uint16_t port,
    struct sockaddr_storage *address_out)
{
	memset(address_out, 0, sizeof(*address_out));
	if (record->length != sizeof(struct in_addr) &&
	    record->length != sizeof(struct in6_addr))
		return false;
	listen_socket_fill(
	    record->length == sizeof(struct in_addr) ? AF_INET : AF_INET6,
	    record->data, port, address_out);
	return true;
}

bool
dns_read_tlsa(const struct dns_record *record, struct dns_tlsa *tlsa_out)
{
	if (record->length < 4)
		return false;
	*tlsa_out = (struct dns_tlsa){ record->data[0], record->data[1],
		record->data[2], record->data + 3, record->length - 3 };
	return true;
}

void
dns_reverse_name(const struct sockaddr *address, char name_out[DNS_NAME_SIZE])
{
	unsigned char bytes[sizeof(struct in6_addr)];
	struct sockaddr_in ip4;
	struct sockaddr_in6 ip6;
	size_t i, used = 0;

	if (address->sa_family == AF_INET) {
		memcpy(&ip4, address, sizeof(ip4));
		memcpy(bytes, &ip4.sin_addr, sizeof(ip4.sin_addr));
		snprintf(name_out, DNS_NAME_SIZE, "%u.%u.%u.%u.in-addr.arpa",
		    bytes[3], bytes[2], bytes[1], bytes[0]);
		return;
	}
	memcpy(&ip6, address, sizeof(ip6));
	memcpy(bytes, &ip6.sin6_addr, sizeof(bytes));
	for (i = sizeof(bytes); i-- > 0; used += 4)
		snprintf(name_out + used, DNS_NAME_SIZE - used, "%x.%x.",
		    bytes[i] & 15u, bytes[i] >> 4u);
	snprintf(name_out + used, DNS_NAME_SIZE - used, "ip6.arpa");
}
