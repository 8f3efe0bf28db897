/* SPDX-License-Identifier: ISC */
/* svctool queue with messages: list, show, ages, and what changes them. */
#ifndef SVCTOOL_QUEUE_MESSAGES_H
#define SVCTOOL_QUEUE_MESSAGES_H

#include <stdbool.h>

#include "svctool/queue/select.h"

struct message_options {
	struct filter filter;
	bool is_json, is_dry_run, has_body;
	const char *text; /* bounce: what the sender is told */
	const char *to;   /* move: the other queue */
	unsigned timeout_s;
};

/*
 * A verb of messages with its options and words (ids), which are checked: the
 * exit code.  The caller releases the filter.
 */
int queue_messages_run(const char *home, const char *verb, int words,
    char *const *argv, struct message_options *options);

/* Each prints what it does and what is wrong, and returns the exit code. */
int messages_list(
    const struct node *node, const struct message_options *options);
int messages_show(
    const struct node *node, const struct message_options *options);
int messages_ages(
    const struct node *node, const struct message_options *options);
/* verb: hold, release, retry, delete, bounce, move */
int messages_change(const struct node *node, const char *verb,
    const struct message_options *options);

#endif
