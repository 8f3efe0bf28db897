/* SPDX-License-Identifier: ISC */
/*
 * Where recipients go: asked for in batches, answered by a call back, so that a
 * slow answer holds up only its own message.
 *
 * Recipients are classified and rewritten (queue/route.h), and local addresses
 * looked up in users/cdb (control/assign.h).  As long as that is in memory, and
 * was looked at a moment ago, the owner does it himself, if they are not many;
 * else threads, each with one request at a time, which may wait for the disk.
 * Which node serves a user of the cluster (store_find_place()) others ask, so that
 * only mail for such users waits for lookupd.
 * The functions are for one thread, the owner (qmail-send's event loop).
 */
#ifndef QUEUE_ROUTER_H
#define QUEUE_ROUTER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

#include "base/buf.h"
#include "base/work_pool.h"
#include "queue/lane.h"
#include "queue/route.h"

/* As everywhere: 1, 0, -1. */
enum router_found { ROUTER_FOUND = 1, ROUTER_ABSENT = 0, ROUTER_UNKNOWN = -1 };

/*
 * Of one recipient.  Offsets are of texts in the request's buf; those that say
 * nothing are of an empty one.
 */
struct router_answer {
	enum router_found found;
	enum route_channel channel;
	/* VIRTUAL: the entry's home is a folder below the node's domains/;
	 * LOCAL: any other, ABSENT and local UNKNOWN ones; REMOTE; NODE: a user
	 * of the cluster whom another node serves */
	enum lane_kind kind;
	size_t address; /* as rewritten */
	size_t bare;    /* NODE: without the prefix */
	size_t lane;    /* the key of its lane */
	/* local, found: the entry of users/assign */
	size_t user, home, dash, extension;
	unsigned long uid, gid;
	size_t reason; /* ABSENT, UNKNOWN: a text for the log and the sender */
};

struct router_request {
	/* the caller's; must stay until done */
	const char *const *recipients;
	size_t recipient_count;
	/* local/ID or remote/ID: addresses that were rewritten once already;
	 * NULL for a new message.  The channel then is as given. */
	const enum route_channel *channels;
	void (*done)(struct router_request *request, void *context);
	void *context;
	/* the answer; the caller frees both */
	struct buf texts;
	struct router_answer *answers; /* recipient_count of them */
	/* the router's own */
	STAILQ_ENTRY(router_request) next;
	struct work work;
	struct router *router;
	bool must_ask; /* lookupd, for a place */
};

struct router;

struct router_options {
	const char *assign_path;  /* users/cdb */
	const char *domains_path; /* the node's domains/ */
	bool has_lane_per_domain; /* "virtual:DOMAIN", not "virtual" */
	const struct home *home;  /* whose cluster it is; stays the caller's */
};

/* Texts of options are copied.  wake_fd, an eventfd: as elsewhere. */
struct router *router_new(const struct router_options *options, int wake_fd);
/*
 * What was asked is answered first, and done called; but what has not begun is
 * not looked up any more: UNKNOWN.
 */
void router_free(struct router **router);

/* The rules, before the first question, and new ones; takes route. */
void router_set_route(struct router *router, struct route *route);

void router_ask(struct router *router, struct router_request *request);
/*
 * Once in a turn of the loop: calls done for what can be answered at once, and
 * hands the rest to the threads.
 */
void router_flush(struct router *router);
/* Calls done for what was answered. */
void router_reap(struct router *router);

#endif
