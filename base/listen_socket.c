/* SPDX-License-Identifier: ISC */
/* Sockets that wait for connections. */
#include "base/listen_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 4096 }; /* the kernel's somaxconn bounds it */

/* What the operator can do about it, or "". */
static const char *
port_remedy(int error)
{
	switch (error) {
	case EADDRINUSE:
		return " (another program has this port: see ss -ltnp, and "
		       "stop it or choose another port)";
	case EACCES:
		return " (ports below 1024 need root at the start)";
	case EADDRNOTAVAIL:
		return " (no interface of this host has this address)";
	}
	return "";
}

static int
set_socket_option(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value));
}

/* Returns a listening socket, or -1 with errno. */
static int
open_one(const struct listener_options *options, const struct addrinfo *address,
    bool takes_both)
{
	int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int saved_errno;

	if (fd == -1)
		return -1;
	if (set_socket_option(fd, SOL_SOCKET, SO_REUSEADDR, 1) == -1)
		goto fail;
	if (options->is_shared &&
	    set_socket_option(fd, SOL_SOCKET, SO_REUSEPORT, 1) == -1)
		goto fail;
	if (address->ai_family == AF_INET6 &&
	    set_socket_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, !takes_both) == -1)
		goto fail;
	/* Linux: the sockets of connections inherit this. */
	if (set_socket_option(fd, IPPROTO_TCP, TCP_NODELAY, 1) == -1)
		goto fail;
	if (bind(fd, address->ai_addr, address->ai_addrlen) == -1 ||
	    listen(fd, BACKLOG) == -1)
		goto fail;
	return fd;
fail:
	saved_errno = errno;
	close(fd);
	errno = saved_errno;
	return -1;
}

/* Like open_one, for a numeric address; -2: it is none. */
static int
open_numeric(
    const struct listener_options *options, const char *text, bool takes_both)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE };
	struct addrinfo *found;
	char port[8];
	int fd, saved_errno;

	snprintf(port, sizeof(port), "%u", (unsigned)options->port);
	if (getaddrinfo(text, port, &hints, &found) != 0)
		return -2;
	fd = open_one(options, found, takes_both);
	saved_errno = errno;
	freeaddrinfo(found);
	errno = saved_errno;
	return fd;
}

int
listen_socket_open(const struct listener_options *options,
    struct sockaddr_storage *bound_out, struct error *err)
{
	const char *address = options->address;
	socklen_t size = sizeof(*bound_out);
	int fd;

	if (*address == '\0' || strcmp(address, "0") == 0) {
		address = "every address";
		fd = open_numeric(options, "::", true);
		/* a host without IPv6 */
		if (fd == -1 &&
		    (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL))
			fd = open_numeric(options, "0.0.0.0", true);
	} else
		fd = open_numeric(options, address, false);
	if (fd == -2)
		return error_set(err,
		    "cannot listen on '%s': not a numeric IPv4 or IPv6 address "
		    "(0 means every address)",
		    address);
	if (fd == -1) {
		const char *hint = port_remedy(errno);

		return error_set(err, "cannot listen on %s port %u: %m%s",
		    address, (unsigned)options->port, hint);
	}
	if (getsockname(fd, (struct sockaddr *)bound_out, &size) == -1) {
		error_sys(err, "cannot find the port of a socket");
		close(fd);
		return -1;
	}
	return fd;
}

bool
listen_socket_is_any(const struct sockaddr_storage *address)
{
	struct in6_addr ip;

	listen_socket_ip(address, &ip);
	return IN6_IS_ADDR_UNSPECIFIED(&ip) ||
	    (IN6_IS_ADDR_V4MAPPED(&ip) && ip.s6_addr32[3] == 0);
}

void
listen_socket_ip(
    const struct sockaddr_storage *address, struct in6_addr *ip_out)
{
	memset(ip_out, 0, sizeof(*ip_out));
	if (address->ss_family == AF_INET6) {
		struct sockaddr_in6 in6;

		memcpy(&in6, address, sizeof(in6));
		*ip_out = in6.sin6_addr;
	} else if (address->ss_family == AF_INET) {
		struct sockaddr_in in4;

		memcpy(&in4, address, sizeof(in4));
		ip_out->s6_addr[10] = ip_out->s6_addr[11] = 0xff;
		memcpy(&ip_out->s6_addr[12], &in4.sin_addr, 4);
	}
}

void
listen_socket_fill(int family, const void *ip, uint16_t port,
    struct sockaddr_storage *address_out)
{
	struct sockaddr_in ip4 = { .sin_family = AF_INET,
		.sin_port = htons(port) };
	struct sockaddr_in6 ip6 = { .sin6_family = AF_INET6,
		.sin6_port = htons(port) };

	memset(address_out, 0, sizeof(*address_out));
	if (family == AF_INET) {
		memcpy(&ip4.sin_addr, ip, sizeof(ip4.sin_addr));
		memcpy(address_out, &ip4, sizeof(ip4));
	} else {
		memcpy(&ip6.sin6_addr, ip, sizeof(ip6.sin6_addr));
		memcpy(address_out, &ip6, sizeof(ip6));
	}
}

void
listen_socket_text(const struct sockaddr_storage *address, char *text,
    size_t size, uint16_t *port_out)
{
	struct in6_addr ip;
	struct sockaddr_in in4;

	/* the port is at the same place in both families */
	memcpy(&in4, address, sizeof(in4));
	*port_out = ntohs(in4.sin_port);
	listen_socket_ip(address, &ip);
	if (IN6_IS_ADDR_V4MAPPED(&ip))
		inet_ntop(AF_INET, &ip.s6_addr[12], text, (socklen_t)size);
	else
		inet_ntop(AF_INET6, &ip, text, (socklen_t)size);
}
