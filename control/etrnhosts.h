/* SPDX-License-Identifier: ISC */
/*
 * A line of etrnhosts: whose mail is held in a Maildir or a queue until it is
 * asked for (RFC 1985), and who may ask:
 *
 *	DOMAIN NETWORK[,NETWORK...] MAILDIR [PREFIX [HOST[:PORT]]]
 *
 * NETWORK is an address or ADDRESS/BITS.  MAILDIR is "-" for one whose mail is
 * in the queues alone.  PREFIX is what recipients in the
 * Maildir begin with, "-" for nothing.  HOST is where the mail goes; without it
 * to port 25 of whoever asks.
 */
#ifndef CONTROL_ETRNHOSTS_H
#define CONTROL_ETRNHOSTS_H

#include <stdbool.h>

#include "base/error.h"
#include "base/strlist.h"

/* Texts belong to it. */
struct etrnhost {
	char *domain; /* in the one spelling of control/idn.h */
	char *networks;
	char *maildir; /* NULL: none */
	char *prefix;
	char *host; /* NULL: who asks */
};
void etrnhost_release(struct etrnhost *host);

/* 0, or -1 with what is wrong, and behind "; " what would be right. */
int etrnhost_read(
    const char *line, struct etrnhost *host_out, struct error *err);

/* The first of the lines with this domain.  True when there is one. */
bool etrnhost_find(
    const struct strlist *lines, const char *domain, struct etrnhost *host_out);

/* May the client with this address ask? */
bool etrnhost_allows(const struct etrnhost *host, const char *ip);

#endif
