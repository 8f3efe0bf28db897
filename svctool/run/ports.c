/* SPDX-License-Identifier: ISC */
/* The addresses that a node listens on. */
#include "svctool/run/ports.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

enum { TAKERS_MAX = 64 };

union socket_address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static socklen_t
fill_address(const struct port_address *address, union socket_address *out)
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

socklen_t
port_connect_address(
    const struct port_address *address, struct sockaddr_storage *where_out)
{
	struct port_address near = *address;
	union socket_address where;
	socklen_t length;

	if (strcmp(near.ip, "0.0.0.0") == 0)
		snprintf(near.ip, sizeof(near.ip), "127.0.0.1");
	else if (strcmp(near.ip, "::") == 0)
		snprintf(near.ip, sizeof(near.ip), "::1");
	length = fill_address(&near, &where);
	memcpy(where_out, &where, sizeof(where));
	return length;
}

/* Of v4 that which v6 maps it to (RFC 4291 2.5.5), for comparison. */
static struct in6_addr
ip_of(const char *text)
{
	char mapped[sizeof(((struct port_address *)0)->ip) + 8];
	struct in6_addr ip = IN6ADDR_ANY_INIT;

	snprintf(mapped, sizeof(mapped), "%s%s",
	    strchr(text, ':') == NULL ? "::ffff:" : "", text);
	inet_pton(AF_INET6, mapped, &ip);
	return ip;
}

/* Does who listens on one of them keep others from the other? */
static bool
is_in_the_way(const struct in6_addr *a, const struct in6_addr *b)
{
	const struct in6_addr any_v4 = ip_of("0.0.0.0");

	return IN6_ARE_ADDR_EQUAL(a, b) || IN6_IS_ADDR_UNSPECIFIED(a) ||
	    IN6_IS_ADDR_UNSPECIFIED(b) || IN6_ARE_ADDR_EQUAL(a, &any_v4) ||
	    IN6_ARE_ADDR_EQUAL(b, &any_v4);
}

/*
 * A line of /proc/net/tcp or tcp6 is "NUMBER: ADDRESS:PORT REMOTE:PORT STATE
 * QUEUES TIMER RETRANSMITS UID TIMEOUT INODE ..."; the address is printed as
 * the 32-bit words that lie in memory, hexadecimal; state 0A listens.
 */
static bool
parse_tcp_line(const char *line, bool is_v6, struct in6_addr *ip_out,
    unsigned *port_out, uint64_t *inode_out)
{
	const char *at = strchr(line, ':');

	if (at == NULL)
		return false;
	at += strspn(at, ": ");
	*ip_out = ip_of("0.0.0.0");
	for (size_t i = is_v6 ? 0 : 3; i < 4; i++, at += 8)
		if (sscanf(at, "%8" SCNx32, &ip_out->s6_addr32[i]) != 1)
			return false;
	return sscanf(at, ":%4x %*s 0A %*s %*s %*s %*s %*s %" SCNu64, port_out,
		   inode_out) == 2;
}

size_t
port_listeners(
    const struct port_address *address, uint64_t *inodes_out, size_t max)
{
	static const char *const tables[] = { "/proc/net/tcp",
		"/proc/net/tcp6" };
	const struct in6_addr ip = ip_of(address->ip);
	char line[512];
	size_t count = 0;

	for (int is_v6 = 0; is_v6 <= 1; is_v6++) {
		FILE *file = fopen(tables[is_v6], "re");
		struct in6_addr other;
		unsigned port;

		while (file != NULL && count < max &&
		    fgets(line, sizeof(line), file) != NULL)
			count += parse_tcp_line(line, is_v6, &other, &port,
				     &inodes_out[count]) &&
			    port == address->port && is_in_the_way(&other, &ip);
		if (file != NULL)
			fclose(file);
	}
	return count;
}

int
port_find_taker(const struct port_address *address, const char *root,
    struct proc *taker_out, char text_out[PORT_TAKER_SIZE])
{
	uint64_t inodes[TAKERS_MAX];
	size_t count = port_listeners(address, inodes, TAKERS_MAX);
	AUTO(proc_list_release) struct proc_list all = { .count = 0 };
	int result = 0;

	snprintf(text_out, PORT_TAKER_SIZE,
	    "a process that is not to be seen from here");
	if (count > 0)
		proc_list_all(&all, NULL);
	for (size_t i = 0; i < count && result != 1; i++)
		if (proc_list_holder(&all, &inodes[i], 1, taker_out) != 1)
			result = -1;
		else if (root == NULL || !proc_works_in(taker_out->pid, root))
			result = 1;
	if (result == 1)
		snprintf(text_out, PORT_TAKER_SIZE, "%s (pid %ld)",
		    taker_out->name, (long)taker_out->pid);
	return result;
}

/* Binds and listens for a moment: 0, or errno. */
static int
try_port(const struct port_address *address)
{
	union socket_address where;
	socklen_t length = fill_address(address, &where);
	AUTO(file_close)
	int fd = socket(where.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int one = 1;

	return fd == -1 ||
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ==
		    -1 ||
		bind(fd, &where.any, length) == -1 || listen(fd, 1) == -1
	    ? errno
	    : 0;
}

int
port_is_free(const struct port_address *address, struct error *err)
{
	char text[PORT_TAKER_SIZE];
	struct proc taker;

	errno = try_port(address);
	switch (errno) {
	case 0:
		return 1;
	case EADDRINUSE:
		port_find_taker(address, NULL, &taker, text);
		error_set(err,
		    "port %u on %s is already in use by %s: stop that, or give "
		    "this node another port",
		    address->port, address->ip, text);
		return 0;
	case EACCES:
		error_set(err,
		    "port %u needs root: start the node as root, or give it a "
		    "port above 1023",
		    address->port);
		return 0;
	default:
		return error_sys(err, "cannot listen on %s port %u",
		    address->ip, address->port);
	}
}

bool
port_is_allowed(const struct port_address *address, struct error *err)
{
	return try_port(address) == EADDRINUSE ||
	    port_is_free(address, err) == 1;
}
