/* SPDX-License-Identifier: ISC */
/*
 * What the DNS says of a host's certificate (DANE for SMTP, RFC 7672).
 *
 * Blocking: asks the resolver.  Any thread may ask.
 */
#ifndef REMOTE_DANE_H
#define REMOTE_DANE_H

#include <stdint.h>

#include "resolver/dns_client.h"

enum dane_state {
	DANE_USABLE = 1,
	DANE_UNUSABLE, /* there are records, none that we can use: TLS, not
			* verified (RFC 7672 2.2) */
	DANE_NONE,     /* for certain, or not proven */
	DANE_UNKNOWN   /* could not be told: the host is not to be used */
};

struct dane {
	enum dane_state state;
	struct dns_answer answer; /* that the records lie in */
	struct dns_tlsa *records; /* USABLE: those that can be used */
	size_t count;
	bool has_authority; /* one is of usage 2: names count */
};

/* Of a host whose addresses are secure.  The caller releases *dane_out. */
void dane_ask(struct dns_client *dns, const char *host, uint16_t port,
    int timeout_ms, struct dane *dane_out);
void dane_release(struct dane *dane);

/* Can it be used for SMTP (RFC 7672 3.1)? */
bool dane_is_usable(const struct dns_tlsa *record);

#endif
