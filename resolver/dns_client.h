/* SPDX-License-Identifier: ISC */
/*
 * Asks resolverd, and waits for the answer.
 *
 * Any thread may ask; each uses a connection of its own meanwhile, and a few
 * stay open for the next.
 */
#ifndef RESOLVER_DNS_CLIENT_H
#define RESOLVER_DNS_CLIENT_H

#include "resolver/dns.h"

struct dns_client;

struct dns_client *dns_client_new(const char *socket_path);
/* When nobody asks any more. */
void dns_client_free(struct dns_client **client);

/*
 * The answer, which the caller releases; after timeout_ms, or when resolverd is
 * not there or goes (once it is asked again), it is UNKNOWN.
 */
void dns_client_ask(struct dns_client *client, enum dns_type type,
    const char *name, int timeout_ms, struct dns_answer *answer_out);

#endif
