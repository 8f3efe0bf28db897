/* SPDX-License-Identifier: ISC */
/* Netstrings, "5:hello," (cr.yp.to/proto/netstrings.txt). */
#ifndef BASE_NETSTRING_H
#define BASE_NETSTRING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

enum netstring_result {
	NETSTRING_MORE,   /* the length goes on */
	NETSTRING_LENGTH, /* the byte was the colon behind it */
	NETSTRING_BAD     /* no length, or one over max */
};

/* A length while it comes in; zeroed at first. */
struct netstring {
	uint64_t length;
	bool has_digit;
};

/* The next byte; leading zeros are bad. */
enum netstring_result netstring_read(
    struct netstring *netstring, char byte, uint64_t max);

/* Puts text as a netstring behind what buf holds. */
void netstring_put(struct buf *buf, const char *text, size_t length);

#endif
