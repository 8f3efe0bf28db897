/* SPDX-License-Identifier: ISC */
/* A port of the kernel's choice.  Include after cmocka.h. */
#ifndef TESTS_UNIT_PORT_H
#define TESTS_UNIT_PORT_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

#include "svctool/run/ports.h"

/* A socket that listens there: it is busy while the descriptor is open. */
static inline int
port_take(struct port_address *address_out)
{
	struct sockaddr_in where = { .sin_family = AF_INET };
	socklen_t size = sizeof(where);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_not_equal(fd, -1);
	assert_int_equal(bind(fd, (struct sockaddr *)&where, sizeof(where)), 0);
	assert_int_equal(listen(fd, 5), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&where, &size), 0);
	snprintf(address_out->ip, sizeof(address_out->ip), "127.0.0.1");
	address_out->port = ntohs(where.sin_port);
	return fd;
}

#endif
