/* SPDX-License-Identifier: ISC */
/* The addresses that a node listens on. */
#include "svctool/ports.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/scan.h"

union socket_address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static socklen_t
fill(const struct port_address *address, union socket_address *out)
{
	memset(out, 0, sizeof(*out));
	if (inet_pton(AF_INET, address->ip, &out->v4.sin_addr) == 1) {
		out->v4.sin_family = AF_INET;
		out->v4.sin_port = htons(address->port);
		return sizeof(out->v4);
	}
	if (inet_pton(AF_INET6, address->ip, &out->v6.sin6_addr) == 1) {
		out->v6.sin6_family = AF_INET6;
		out->v6.sin6_port = htons(address->port);
		return sizeof(out->v6);
	}
	return 0;
}

int
port_parse(const char *text, const char *standard_ip,
    struct port_address *address_out, struct error *err)
{
	const char *colon = strrchr(text, ':');
	const char *ip = colon == NULL ? standard_ip : text;
	size_t length = colon == NULL ? strlen(ip) : (size_t)(colon - text);
	union socket_address unused;
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
	if (fill(address_out, &unused) == 0)
		return error_set(
		    err, "'%s' is not an IP address", address_out->ip);
	return 0;
}

int
port_is_free(const struct port_address *address, struct error *err)
{
	union socket_address where;
	socklen_t length = fill(address, &where);
	int fd = socket(where.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int one = 1;
	int result = 1;

	if (fd == -1)
		return error_sys(err, "cannot make a socket");
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == -1)
		result = error_sys(err, "cannot set SO_REUSEADDR");
	else if (bind(fd, &where.any, length) == -1 || listen(fd, 1) == -1) {
		result = -1;
		if (errno == EADDRINUSE) {
			error_set(err,
			    "port %u on %s is already in use: stop what "
			    "listens there (see 'ss -ltnp'), or give this "
			    "node another port",
			    address->port, address->ip);
			result = 0;
		} else if (errno == EACCES) {
			error_set(err,
			    "port %u needs root: start the node as root, or "
			    "give it a port above 1023",
			    address->port);
			result = 0;
		} else
			error_sys(err, "cannot listen on %s port %u",
			    address->ip, address->port);
	}
	close(fd);
	return result;
}

/* The start of a line's local address: "ADDRESS:PORT ", as the kernel prints.
 */
static void
format_local(const struct port_address *address,
    const union socket_address *where, bool is_v6, char *out, size_t size)
{
	const void *words = is_v6 ? (const void *)&where->v6.sin6_addr
				  : (const void *)&where->v4.sin_addr;
	size_t length = 0;

	for (size_t i = 0; i < (is_v6 ? 4U : 1U); i++) {
		uint32_t word;

		memcpy(&word, (const char *)words + i * 4, 4);
		length += (size_t)snprintf(
		    out + length, size - length, "%08X", word);
	}
	snprintf(out + length, size - length, ":%04X ", address->port);
}

/*
 * A line is "NUMBER: ADDRESS:PORT REMOTE:PORT STATE QUEUES TIMER RETRANSMITS
 * UID TIMEOUT INODE ..."; the address is printed as the 32-bit words that lie
 * in memory, hexadecimal; state 0A listens.
 */
size_t
port_listeners(
    const struct port_address *address, uint64_t *inodes_out, size_t max)
{
	union socket_address where;
	bool is_v6 = fill(address, &where) == sizeof(where.v6);
	FILE *file = fopen(is_v6 ? "/proc/net/tcp6" : "/proc/net/tcp", "re");
	char wanted[64], line[512];
	size_t count = 0;

	format_local(address, &where, is_v6, wanted, sizeof(wanted));
	while (file != NULL && count < max &&
	    fgets(line, sizeof(line), file) != NULL) {
		const char *local = strchr(line, ':');

		if (local != NULL &&
		    strncmp(local + 2, wanted, strlen(wanted)) == 0 &&
		    sscanf(local + 2 + strlen(wanted),
			"%*s 0A %*s %*s %*s %*s %*s %" SCNu64,
			&inodes_out[count]) == 1)
			count++;
	}
	if (file != NULL)
		fclose(file);
	return count;
}
