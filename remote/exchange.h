/* SPDX-License-Identifier: ISC */
/*
 * Where mail for a domain goes: the hosts that take it, in the order in which
 * they are to be tried, with their addresses (RFC 5321 5.1).
 *
 * Blocking: asks the resolver.  Any thread may ask.
 */
#ifndef REMOTE_EXCHANGE_H
#define REMOTE_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "control/own_addresses.h"
#include "control/smtproutes.h"
#include "resolver/dns_client.h"

enum exchange_state {
	EXCHANGE_FOUND = 1,
	EXCHANGE_NONE,   /* for certain: no host takes mail for the domain */
	EXCHANGE_UNKNOWN /* could not be told: defer */
};

struct exchange_host {
	char *name; /* as in the MX record or the route; an address's text
		     * otherwise */
	unsigned preference;
	bool is_secure; /* DNSSEC proves its addresses */
};

struct exchange_address {
	size_t host;                     /* in exchange.hosts */
	struct sockaddr_storage address; /* with the port */
};

/* Texts and arrays belong to it. */
struct exchange {
	enum exchange_state state;
	/* not FOUND: result text with its code, as "Sorry, ... (#5.1.2)\n"; ""
	 * otherwise */
	char *text;
	struct smtproute route; /* what the answer was made by */
	bool is_mx_secure;      /* DNSSEC proves the MX records (RFC 7672) */
	bool is_routed;         /* hosts are a route's or a literal, no MX */
	uint32_t ttl_s;         /* how long it holds; UNKNOWN: 0 */
	struct exchange_host *hosts;
	size_t host_count;
	/* best preference first; those of one preference in an order of
	 * chance, IPv6 and IPv4 in turns (RFC 5321 5.1, 8305 4) */
	struct exchange_address *addresses;
	size_t address_count;
};

struct exchange_config {
	struct dns_client *dns;
	const struct smtproutes *routes;
	const char *me;
	/* which addresses are ours: moreipme adds, notipme takes away */
	const struct own_addresses *own;
	int timeout_ms; /* of one question; all of them take four times that */
};

enum {
	/* More hosts than that are not asked for: the best preferences count.
	 */
	EXCHANGE_HOSTS_MAX = 50,
	EXCHANGE_ADDRESSES_MAX = 200
};

/*
 * domain: as in an envelope, in any spelling (control/idn.h), also an address
 * literal "[192.0.2.1]", "[IPv6:2001:db8::1]" (RFC 5321 4.1.3).  sender ("":
 * the null sender) and recipient: for routes that depend on them, or NULL.
 * Always makes *out, which the caller releases.
 *
 * NONE: no such name, or nothing there that mail could go to (5.1.2); a null MX
 * (RFC 7505: 5.1.10); MX hosts without any address (5.4.4); we are the best of
 * them ourselves (5.4.6).  A host of ours and those of its preference or a
 * worse one are left out (RFC 5321 5.1).  A route's host that does not exist is
 * UNKNOWN: the mistake is the operator's.
 */
void exchange_find(const struct exchange_config *config, const char *domain,
    const char *sender, const char *recipient, struct exchange *out);
/*
 * The addresses of the one host of out->route, with its port; the rest of *out
 * is as it was zeroed.  domain is for texts.  FOUND or UNKNOWN.
 */
void exchange_find_route(const struct exchange_config *config,
    const char *domain, struct exchange *out);
void exchange_release(struct exchange *exchange);

#endif
