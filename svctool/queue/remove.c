/* SPDX-License-Identifier: ISC */
/* svctool queue remove: only an empty queue goes. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "control/settings.h"
#include "queue/health.h"
#include "svctool/make.h"
#include "svctool/queue/count.h"
#include "svctool/queue/ops.h"
#include "svctool/run/service.h"
#include "svctool/run/supervise.h"
#include "svctool/wait.h"

/* Refuses a queue that holds messages. */
static int
must_be_empty(const struct node *node, const char *name, struct error *err)
{
	long count = queue_messages(node, name, err);

	if (count > 0)
		return error_set(err,
		    "%s holds %ld messages, and nothing is removed: svctool "
		    "status shows whether it is held or down, and qmail-qread "
		    "what they wait for",
		    name, count);
	return count == 0 ? 0 : -1;
}

/* Does anything deliver what the queue holds? */
static bool
is_delivering(const struct node *node, const char *name)
{
	OWN_TEXT queue = node_path(node, "%s/%s", node->home->queue, name);
	struct health health;

	return health_read(queue, &health, NULL) == 1 &&
	    (health.state == HEALTH_UP || health.state == HEALTH_STARTING) &&
	    !health.is_held_local && !health.is_held_remote;
}

/* Mail that came before the count changed is delivered first. */
static int
drain_queue(const struct node *node, const char *name, unsigned timeout_s,
    struct error *err)
{
	int64_t deadline = clock_ms() + timeout_s * 1000L;

	while (must_be_empty(node, name, err) == -1)
		if (!is_delivering(node, name) || !wait_more(deadline))
			return -1;
	return 0;
}

static void
remove_trace(const struct node *node, const char *folder, const char *prefix,
    const char *name, const char *suffix)
{
	OWN_TEXT path = node_path(
	    node, "%s/%s.%s%s", folder, prefix, name, suffix);

	if (unlink(path) == 0)
		make_say("removed", "%s", path);
}

/* Settings of this queue alone, and what it left in run/. */
static void
remove_traces(const struct node *node, const char *name)
{
	const char *control = node->home->control;

	for (enum setting_id id = 0; id < SETTING_COUNT; id++)
		if (settings_is_of_queues(id))
			remove_trace(
			    node, control, setting_rows[id].name, name, "");
	remove_trace(node, control, "concurrencyl", name, "");
	remove_trace(node, control, "concurrencyr", name, "");
	remove_trace(node, node->home->run, "qmail-send", name, ".pid");
}

static int
remove_queue(const struct node *node, const char *name, struct error *err)
{
	OWN_TEXT queue = node_path(node, "%s/%s", node->home->queue, name);
	OWN_TEXT log = node_path(node, "%s/%s", node->home->log, name);
	int result = file_remove_tree(queue, err);

	if (result == 0) {
		make_say("removed", "%s", queue);
		remove_traces(node, name);
		if (access(log, F_OK) == 0)
			make_say(
			    "kept", "%s: the log of what it delivered", log);
	}
	return result;
}

/* The queue gets no new mail now: empty it and stop it.  0 or -1. */
static int
drain_and_stop(const struct node *node, const char *name, unsigned timeout_s,
    struct error *err)
{
	OWN_TEXT folder = NULL;

	if (drain_queue(node, name, timeout_s, err) == -1 ||
	    queue_stop(node, name, timeout_s, err) == -1)
		return -1;
	if (must_be_empty(node, name, err) == 0)
		return 0;
	/* A message came until the very end: the queue goes on. */
	folder = node_path(node, "%s/%s", node->home->service, name);
	supervise_send(folder, "u", NULL);
	return -1;
}

int
queue_remove(const struct node *node, const char *name,
    const struct queue_op_options *options, struct error *err)
{
	struct queue_collection collection;
	unsigned number = queue_count_number(name);
	bool is_counted;
	unsigned last;

	if (queue_must_exist(node, name, err) == -1 ||
	    queue_count_read(node, &collection, err) == -1)
		return -1;
	last = collection.start + collection.count - 1;
	is_counted = number == last;
	if (number >= collection.start && number < last)
		return error_set(err,
		    "the queues are numbered without a gap: remove queue%u "
		    "first",
		    last);
	if (is_counted && collection.count == 1)
		return error_set(
		    err, "queue%u is the only queue: nothing is removed", last);
	if (!is_delivering(node, name) && must_be_empty(node, name, err) == -1)
		return -1;
	if (is_counted &&
	    queue_count_write(node, collection.count - 1, err) == -1)
		return -1;
	if (drain_and_stop(node, name, options->timeout_s, err) == -1) {
		if (is_counted)
			queue_count_write(node, collection.count, NULL);
		return -1;
	}
	if (service_remove(node, name, options->timeout_s, err) == -1)
		return -1;
	return remove_queue(node, name, err);
}
