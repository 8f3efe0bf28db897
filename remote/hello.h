/* SPDX-License-Identifier: ISC */
/* What a peer's answer to EHLO or LHLO says that it can do. */
#ifndef REMOTE_HELLO_H
#define REMOTE_HELLO_H

#include <stdbool.h>
#include <stdint.h>

enum { HELLO_AUTH_SIZE = 256 };

struct hello {
	unsigned lines; /* seen so far */
	bool has_pipelining, has_8bitmime, has_smtputf8, has_chunking, has_dsn,
	    has_starttls, has_requiretls, has_size,
	    has_xnode; /* it takes us for a node of its cluster */
	uint64_t size_max; /* 0: not told */
	/* RFC 9422; 0: not told */
	unsigned mail_max, rcpt_max;
	char auth[HELLO_AUTH_SIZE]; /* " PLAIN LOGIN ", in capitals; or "" */
};

/* For reply_read(): hello is a struct hello, zero before the first line. */
void hello_line(const char *line, void *hello);

/* The peer has this mechanism of SASL. */
bool hello_has_auth(const struct hello *hello, const char *mechanism);

#endif
