/* SPDX-License-Identifier: ISC */
/*
 * How many connections each address has.  The cost of a call hardly grows
 * with their number, whatever they are, and an address without connections
 * takes no memory. Used under its owner's lock.
 */
#ifndef BASE_IPCOUNT_H
#define BASE_IPCOUNT_H

#include <netinet/in.h>

struct ipcount;

struct ipcount *ipcount_new(void);
void ipcount_free(struct ipcount **table);

/* IPv4 addresses are asked for in their v4-mapped form. */
unsigned ipcount_get(const struct ipcount *table, const struct in6_addr *ip);
void ipcount_add(struct ipcount *table, const struct in6_addr *ip);
/* Takes one off again; the address has at least one (asserted). */
void ipcount_drop(struct ipcount *table, const struct in6_addr *ip);

#endif
