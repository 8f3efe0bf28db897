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
#include "svctool/run/proc.h"

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

/* A socket that listens, as a line of /proc/net/tcp or tcp6 has it. */
struct listening {
	bool is_v6;
	unsigned char ip[16]; /* of v4 the first four */
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
	memcpy(out->ip, words, sizeof(out->ip));
	out->is_v6 = is_v6;
	return sscanf(at, ":%4x %*s 0A %*s %*s %*s %*s %*s %" SCNu64,
		   &out->port, &out->inode) == 2;
}

static bool
is_any_ip(const unsigned char *ip, bool is_v6)
{
	static const unsigned char any[16] = { 0 };

	return memcmp(ip, any, is_v6 ? 16 : 4) == 0;
}

/*
 * Those of one family that listen there; or_around: also those that keep others
 * from listening there.
 */
static size_t
list_listening(const struct port_address *address, bool is_v6, bool or_around,
    uint64_t *inodes_out, size_t max)
{
	static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };
	FILE *file = fopen(is_v6 ? "/proc/net/tcp6" : "/proc/net/tcp", "re");
	union socket_address where;
	bool is_ours_v6 = fill(address, &where) == sizeof(where.v6);
	const unsigned char *ip = is_ours_v6 ? (const void *)&where.v6.sin6_addr
					     : (const void *)&where.v4.sin_addr;
	char line[512];
	size_t count = 0;

	while (file != NULL && count < max &&
	    fgets(line, sizeof(line), file) != NULL) {
		struct listening other;
		bool is_same;

		if (!parse_line(line, is_v6, &other) ||
		    other.port != address->port)
			continue;
		is_same = is_v6 == is_ours_v6 &&
		    memcmp(other.ip, ip, is_v6 ? 16 : 4) == 0;
		if (or_around)
			is_same |= is_any_ip(ip, is_ours_v6) ||
			    is_any_ip(other.ip, is_v6) ||
			    (is_v6 && !is_ours_v6 &&
				memcmp(other.ip, mapped, 12) == 0 &&
				memcmp(other.ip + 12, ip, 4) == 0);
		if (is_same)
			inodes_out[count++] = other.inode;
	}
	if (file != NULL)
		fclose(file);
	return count;
}

size_t
port_listeners(
    const struct port_address *address, uint64_t *inodes_out, size_t max)
{
	bool is_v6 = strchr(address->ip, ':') != NULL;

	return list_listening(address, is_v6, false, inodes_out, max);
}

static void
say_taker(const struct proc *proc, char text_out[PORT_TAKER_SIZE])
{
	snprintf(text_out, PORT_TAKER_SIZE, "%s (pid %ld)", proc->name,
	    (long)proc->pid);
}

/* Those of both families that listen there or around. */
static size_t
list_takers(const struct port_address *address, uint64_t inodes_out[TAKERS_MAX])
{
	size_t count = list_listening(
	    address, false, true, inodes_out, TAKERS_MAX);

	return count +
	    list_listening(
		address, true, true, inodes_out + count, TAKERS_MAX - count);
}

bool
port_has_stranger(const struct port_address *address, const char *root,
    char text_out[PORT_TAKER_SIZE])
{
	uint64_t inodes[TAKERS_MAX];
	size_t count = list_takers(address, inodes);
	struct proc proc;

	for (size_t i = 0; i < count; i++)
		if (proc_find_holder(&inodes[i], 1, &proc) == 1 &&
		    !proc_is_of_node(proc.pid, root)) {
			say_taker(&proc, text_out);
			return true;
		}
	return false;
}

int
port_find_taker(
    const struct port_address *address, char text_out[PORT_TAKER_SIZE])
{
	uint64_t inodes[TAKERS_MAX];
	size_t count = list_takers(address, inodes);
	struct proc proc;
	int found;

	found = proc_find_holder(inodes, count, &proc);
	if (found == 1)
		say_taker(&proc, text_out);
	else
		snprintf(text_out, PORT_TAKER_SIZE,
		    "a process that is not to be seen from here");
	return count == 0 ? 0 : found == 1 ? 1 : -1;
}

static int
say_not_allowed(const struct port_address *address, struct error *err)
{
	error_set(err,
	    "port %u needs root: start the node as root, or give it a port "
	    "above 1023",
	    address->port);
	return 0;
}

bool
port_is_allowed(const struct port_address *address, struct error *err)
{
	union socket_address where;
	socklen_t length = fill(address, &where);
	int fd = socket(where.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool is_allowed = fd != -1 &&
	    (bind(fd, &where.any, length) == 0 || errno == EADDRINUSE);

	if (!is_allowed && errno == EACCES)
		say_not_allowed(address, err);
	else if (!is_allowed)
		error_sys(err, "cannot listen on %s port %u", address->ip,
		    address->port);
	if (fd != -1)
		close(fd);
	return is_allowed;
}

int
port_is_free(const struct port_address *address, struct error *err)
{
	union socket_address where;
	socklen_t length = fill(address, &where);
	int fd = socket(where.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char taker[PORT_TAKER_SIZE];
	int one = 1;
	int result = 1;

	if (fd == -1)
		return error_sys(err, "cannot make a socket");
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == -1)
		result = error_sys(err, "cannot set SO_REUSEADDR");
	else if (bind(fd, &where.any, length) == -1 || listen(fd, 1) == -1) {
		result = -1;
		if (errno == EADDRINUSE) {
			port_find_taker(address, taker);
			error_set(err,
			    "port %u on %s is already in use by %s: stop that, "
			    "or give this node another port",
			    address->port, address->ip, taker);
			result = 0;
		} else if (errno == EACCES)
			result = say_not_allowed(address, err);
		else
			error_sys(err, "cannot listen on %s port %u",
			    address->ip, address->port);
	}
	close(fd);
	return result;
}
