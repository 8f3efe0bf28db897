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

#include "base/scan.h"

enum { TAKERS_MAX = 64 };

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
	length = fill(&near, &where);
	memcpy(where_out, &where, sizeof(where));
	return length;
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

/* All addresses in one form: of v4 that which v6 maps it to (RFC 4291 2.5.5). */
struct ip {
	unsigned char bytes[16];
};

static struct ip
map_v4(const void *bytes)
{
	struct ip ip = { .bytes = { [10] = 0xff, [11] = 0xff } };

	memcpy(ip.bytes + 12, bytes, 4);
	return ip;
}

static struct ip
ip_of(const struct port_address *address)
{
	union socket_address where;
	struct ip ip;

	if (fill(address, &where) == sizeof(where.v4))
		return map_v4(&where.v4.sin_addr);
	memcpy(ip.bytes, &where.v6.sin6_addr, sizeof(ip.bytes));
	return ip;
}

static bool
is_same_ip(const struct ip *a, const struct ip *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

static bool
is_any_ip(const struct ip *ip)
{
	static const unsigned char zero[4];
	static const struct ip any_v6;
	const struct ip any_v4 = map_v4(zero);

	return is_same_ip(ip, &any_v6) || is_same_ip(ip, &any_v4);
}

/* A socket that listens, as a line of /proc/net/tcp or tcp6 has it. */
struct listening {
	struct ip ip;
	unsigned port;
	uint64_t inode;
};

/*
 * A line is "NUMBER: ADDRESS:PORT REMOTE:PORT STATE QUEUES TIMER RETRANSMITS
 * UID TIMEOUT INODE ..."; the address is printed as the 32-bit words that lie
 * in memory, hexadecimal; state 0A listens.
 */
static bool
parse_line(const char *line, bool is_v6, struct listening *out)
{
	const char *at = strchr(line, ':');
	uint32_t words[4] = { 0 };

	if (at == NULL)
		return false;
	at += strspn(at, ": ");
	for (size_t i = 0; i < (is_v6 ? 4U : 1U); i++, at += 8)
		if (sscanf(at, "%8" SCNx32, &words[i]) != 1)
			return false;
	if (is_v6)
		memcpy(out->ip.bytes, words, sizeof(words));
	else
		out->ip = map_v4(words);
	return sscanf(at, ":%4x %*s 0A %*s %*s %*s %*s %*s %" SCNu64,
		   &out->port, &out->inode) == 2;
}

/*
 * Those that listen there; or_around: also those that keep others from
 * listening there.
 */
static size_t
list_listening(const struct port_address *address, bool or_around,
    uint64_t *inodes_out, size_t max)
{
	const struct ip ip = ip_of(address);
	char line[512];
	size_t count = 0;

	for (int is_v6 = 0; is_v6 <= 1; is_v6++) {
		FILE *file = fopen(
		    is_v6 ? "/proc/net/tcp6" : "/proc/net/tcp", "re");
		struct listening other;

		while (file != NULL && count < max &&
		    fgets(line, sizeof(line), file) != NULL)
			if (parse_line(line, is_v6, &other) &&
			    other.port == address->port &&
			    (is_same_ip(&other.ip, &ip) ||
				(or_around &&
				    (is_any_ip(&ip) || is_any_ip(&other.ip)))))
				inodes_out[count++] = other.inode;
		if (file != NULL)
			fclose(file);
	}
	return count;
}

size_t
port_listeners(
    const struct port_address *address, uint64_t *inodes_out, size_t max)
{
	return list_listening(address, false, inodes_out, max);
}

static void
say_taker(const struct proc *proc, char text_out[PORT_TAKER_SIZE])
{
	snprintf(text_out, PORT_TAKER_SIZE, "%s (pid %ld)", proc->name,
	    (long)proc->pid);
}

bool
port_has_stranger(const struct port_address *address, const char *root,
    char text_out[PORT_TAKER_SIZE])
{
	uint64_t inodes[TAKERS_MAX];
	size_t count = list_listening(address, true, inodes, TAKERS_MAX);
	struct proc_list all;
	struct proc proc;
	bool is_found = false;

	proc_list_all(&all, NULL);
	for (size_t i = 0; i < count && !is_found; i++)
		is_found = proc_list_holder(&all, &inodes[i], 1, &proc) == 1 &&
		    !proc_works_in(proc.pid, root);
	proc_list_release(&all);
	if (is_found)
		say_taker(&proc, text_out);
	return is_found;
}

int
port_find_taker(const struct port_address *address, struct proc *taker_out,
    char text_out[PORT_TAKER_SIZE])
{
	uint64_t inodes[TAKERS_MAX];
	size_t count = list_listening(address, true, inodes, TAKERS_MAX);
	struct proc_list all = { .count = 0 };
	int found;

	if (count > 0)
		proc_list_all(&all, NULL);
	found = proc_list_holder(&all, inodes, count, taker_out);
	proc_list_release(&all);
	if (found == 1)
		say_taker(taker_out, text_out);
	else
		snprintf(text_out, PORT_TAKER_SIZE,
		    "a process that is not to be seen from here");
	return count == 0 ? 0 : found == 1 ? 1 : -1;
}

/* Binds and listens for a moment: 0, or errno. */
static int
try_port(const struct port_address *address)
{
	union socket_address where;
	socklen_t length = fill(address, &where);
	int fd = socket(where.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int one = 1;
	int failure = 0;

	if (fd == -1 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == -1 ||
	    bind(fd, &where.any, length) == -1 || listen(fd, 1) == -1)
		failure = errno;
	if (fd != -1)
		close(fd);
	return failure;
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
		port_find_taker(address, &taker, text);
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
