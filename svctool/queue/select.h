/* SPDX-License-Identifier: ISC */
/* Which messages of the node's queues are meant: filters, and a walk. */
#ifndef SVCTOOL_QUEUE_SELECT_H
#define SVCTOOL_QUEUE_SELECT_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/error.h"
#include "queue/look.h"
#include "queue/route.h"
#include "base/strlist.h"
#include "svctool/args.h"
#include "svctool/node.h"
#include "svctool/queue/deferrals.h"
#include "svctool/run/rests.h"

/* As the options say; all that are given must match. */
struct filter {
	/* patterns (fnmatch) of addresses; of recipients one that is left */
	const char *sender, *recipient, *domain;
	const char *lane; /* of a recipient that is left */
	/* a pattern of what has failed so far, of why it was deferred, or of
	 * why a domain rests */
	const char *reason;
	const char *older, *larger;
	struct strlist ids; /* numbers and UUIDs; any of them */
	struct strlist queues;
	bool is_all;
	bool wants_rests; /* for the visitor */
	/* filter_prepare() */
	uint64_t older_s, larger_bytes;
};

/* Rows of args_parse(). */
#define FILTER_ROWS(filter)                                 \
	{ "sender", ARG_TEXT, &(filter).sender },           \
	    { "recipient", ARG_TEXT, &(filter).recipient }, \
	    { "domain", ARG_TEXT, &(filter).domain },       \
	    { "lane", ARG_TEXT, &(filter).lane },           \
	    { "reason", ARG_TEXT, &(filter).reason },       \
	    { "older", ARG_TEXT, &(filter).older },         \
	    { "larger", ARG_TEXT, &(filter).larger },       \
	    { "id", ARG_LIST, &(filter).ids },              \
	    { "queue", ARG_LIST, &(filter).queues },        \
	{                                                   \
		"all", ARG_FLAG, &(filter).is_all           \
	}

/* A message that is shown to a visitor; all is valid during the call. */
struct chosen {
	const char *queue, *path;
	const struct queue_dir *dir;
	const struct look_message *message;
	const struct route *route;
	const struct rests *rests;          /* empty, unless they are wanted */
	const struct strlist *held_lanes;   /* the same */
	bool is_held_local, is_held_remote; /* the queue's deliveries */
	const struct deferrals *deferrals;  /* unless there is a --reason */
};

/*
 * Reads --older and --larger, adds the words to the ids, and writes queues'
 * names out ("3" for "queue3").  0, or -1 with the reason.
 */
int filter_prepare(
    struct filter *filter, int words, char *const *argv, struct error *err);
void filter_release(struct filter *filter);

/* "90", "10m", "3d": seconds; false when it is none. */
bool scan_time(const char *text, uint64_t *seconds_out);

/* Does it say anything of messages but --queue? */
bool filter_has_any(const struct filter *filter);

/*
 * Calls visit for each message that matches, queue by queue.  0; -1 with the
 * reason after what could be read was shown.
 */
int filter_visit(const struct node *node, const struct filter *filter,
    void (*visit)(const struct chosen *chosen, void *context), void *context,
    struct error *err);

/* A recipient as the sender knew it, and its domain ("" without one). */
const char *chosen_address(
    const struct chosen *chosen, const struct look_recipient *recipient);
const char *address_domain(const char *address);
/* What an operator holds of a recipient, "lane" or "queue"; or NULL, as below.
 */
const char *chosen_hold(
    const struct chosen *chosen, const struct look_recipient *recipient);
/* Why the mail of a recipient rests; NULL: it does not, or rests were not
 * wanted. */
const struct rest *chosen_rest(
    const struct chosen *chosen, const struct look_recipient *recipient);

#endif
