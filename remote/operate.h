/* SPDX-License-Identifier: ISC */
/*
 * What an operator asks qmail-rspawn over run/remote (docs/protocol.md,
 * Destinations).
 *
 * A client connects as a queue does, and hears hello and take (queue/job.h),
 * which say the version.  Then it sends one REQUEST after the other; the answer
 * is any number of DESTINATIONs, and END.  Packets of queue/job.h that come
 * between are none of its business.
 */
#ifndef REMOTE_OPERATE_H
#define REMOTE_OPERATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum operate_packet {
	OPERATE_REQUEST = 'o',
	OPERATE_DESTINATION = 'd',
	OPERATE_END = 'e'
};

enum operate_action {
	OPERATE_LIST = 1,
	OPERATE_SUSPENSIONS, /* the setting suspended has changed */
	OPERATE_REBIND,      /* rules, names: anew; connections end after their
			      * message */
	OPERATE_RESET,       /* what was learned of its hosts is forgotten */
	OPERATE_ACTION_END
};

struct operate_request {
	enum operate_action action;
	const char *domain; /* canonical; LIST, SUSPENSIONS: "", all */
};

enum operate_code {
	OPERATE_DONE,
	OPERATE_ABSENT, /* nothing is known of it */
	OPERATE_FAILED,
	OPERATE_CODE_END
};

enum operate_state {
	OPERATE_OPEN = 1,   /* a host has greeted */
	OPERATE_CONNECTING, /* none has yet */
	OPERATE_RESTING,
	OPERATE_IDLE,      /* nothing is to be sent */
	OPERATE_RESOLVING, /* the rest: a domain that has no destination now */
	OPERATE_UNKNOWN,   /* its names cannot be told: it rests */
	OPERATE_NO_MAIL,   /* it takes none */
	OPERATE_SUSPENDED,
	OPERATE_STATE_END
};

enum {
	OPERATE_DOMAINS_MAX = 100,
	OPERATE_ADDRESSES_MAX = 50 /* those that are tried first */
};

struct operate_address {
	const char *host, *ip;
	uint32_t port;
	uint32_t failures; /* one after the other */
	uint32_t rests_s;  /* and so long it is left alone */
};

/* Texts point into the packet.  Seconds are from now on. */
struct operate_destination {
	enum operate_state state;
	bool is_retired; /* rules or names have changed since: it ends */
	bool has_more_domains, has_more_addresses;
	uint32_t lanes;   /* of all queues, that are there now */
	uint32_t waiting; /* messages in hand, that no connection sends yet */
	uint32_t window, connections, opening, busy;
	uint32_t capped_s;  /* the window is, by a reply */
	uint32_t rate;      /* messages in 1,000 s; 0: without limit */
	uint32_t rate_s;    /* for so long; 0: for ever */
	uint32_t limit, rate_limit; /* the operator's of both; 0: none */
	uint32_t rests_s;   /* 0: it does not; UINT32_MAX: for ever */
	const char *reason; /* of resting, or of what it is otherwise */
	const char *reply;  /* the last one */
	const char *tls;    /* reached last, "plain", or "" before that */
	uint32_t known_s;   /* counted since */
	uint64_t messages;  /* transactions that came to an end */
	uint64_t delivered, deferred, failed; /* recipients */
	const char *domains[OPERATE_DOMAINS_MAX];
	size_t domain_count;
	struct operate_address addresses[OPERATE_ADDRESSES_MAX];
	size_t address_count;
};

struct operate_end {
	enum operate_code code;
	const char *text;
};

/* The type of a packet, or 0. */
int operate_packet_type(const void *data, size_t length);

void operate_put_request(
    struct buf *buf, const struct operate_request *request);
void operate_put_destination(
    struct buf *buf, const struct operate_destination *destination);
void operate_put_end(struct buf *buf, const struct operate_end *end);

/* Read a whole packet; false when it is not one. */
bool operate_get_request(
    const void *data, size_t length, struct operate_request *out);
bool operate_get_destination(
    const void *data, size_t length, struct operate_destination *out);
bool operate_get_end(const void *data, size_t length, struct operate_end *out);

/* "resting", ... */
const char *operate_state_name(enum operate_state state);

#endif
