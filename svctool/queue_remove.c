/* SPDX-License-Identifier: ISC */
/* svctool queue remove: only an empty queue goes. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "svctool/make.h"
#include "svctool/queue_count.h"
#include "svctool/queue_ops.h"
#include "svctool/supervise.h"

enum { LOOK_AGAIN_MS = 100 };

/* Refuses a queue that holds messages. */
static int
must_be_empty(const struct node *node, const char *name, struct error *err)
{
	long count = queue_messages(node, name, err);

	if (count > 0)
		return error_set(err,
		    "%s holds %ld messages: wait until they are delivered "
		    "(svctool status), or move them with queue-fix's help; "
		    "nothing is removed",
		    name, count);
	return count == 0 ? 0 : -1;
}

/* Mail that was on its way when the count changed is delivered first. */
static int
wait_empty(const struct node *node, const char *name, unsigned timeout_s,
    struct error *err)
{
	int64_t deadline = clock_ms() + timeout_s * 1000L;

	while (must_be_empty(node, name, err) == -1) {
		if (clock_ms() >= deadline)
			return -1;
		poll(NULL, 0, LOOK_AGAIN_MS);
	}
	return 0;
}

/*
 * The service's folder leaves svscan's sight before supervise ends, or svscan
 * would start it again.
 */
static int
remove_service(const struct node *node, const char *name, struct error *err)
{
	char *folder = node_path(node, "%s/%s", node->home->service, name);
	char *hidden = node_path(node, "%s/.old-%s", node->home->service,
	    name);
	char *log = xasprintf("%s/log", hidden);
	int result = 0;

	if (rename(folder, hidden) == -1 && errno != ENOENT)
		result = error_sys(err, "cannot rename '%s'", folder);
	if (result == 0 &&
	    (supervise_send(hidden, "dx", err) == -1 ||
		supervise_send(log, "x", err) == -1))
		result = -1;
	if (result == 0)
		result = file_remove_tree(hidden, err);
	if (result == 0)
		make_say("removed", "%s", folder);
	free(log);
	free(hidden);
	free(folder);
	return result;
}

static int
remove_files(const struct node *node, const char *name, struct error *err)
{
	char *queue = node_path(node, "%s/%s", node->home->queue, name);
	const char *const settings[] = { "holdlocal", "holdremote",
		"concurrencyl", "concurrencyr" };
	int result = file_remove_tree(queue, err);

	if (result == 0)
		make_say("removed", "%s", queue);
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		char *path = node_path(node, "%s/%s.%s", node->home->control,
		    settings[i], name);

		if (unlink(path) == 0)
			make_say("removed", "%s", path);
		free(path);
	}
	free(queue);
	return result;
}

int
queue_remove(const struct node *node, const char *name,
    const struct queue_op_options *options, struct error *err)
{
	struct queue_collection collection;
	unsigned number = queue_count_number(name);
	unsigned last;
	char *folder;
	int result;

	if (queue_must_exist(node, name, err) == -1 ||
	    queue_count_read(node, &collection, err) == -1 ||
	    must_be_empty(node, name, err) == -1)
		return -1;
	last = collection.start + collection.count - 1;
	if (number >= collection.start && number < last)
		return error_set(err,
		    "the queues are numbered without a gap: remove queue%u "
		    "first",
		    last);
	if (number == last && collection.count == 1)
		return error_set(err,
		    "queue%u is the only queue: nothing is removed", last);
	if (number == last &&
	    queue_count_write(node, collection.count - 1, err) == -1)
		return -1;
	if (wait_empty(node, name, options->timeout_s, err) == -1 ||
	    queue_stop(node, name, options->timeout_s, err) == -1)
		return -1;
	/* A message may have come until the very end: then it goes on. */
	if (must_be_empty(node, name, err) == -1) {
		folder = node_path(node, "%s/%s", node->home->service, name);
		supervise_send(folder, "u", NULL);
		free(folder);
		return -1;
	}
	result = remove_service(node, name, err);
	return result == -1 ? -1 : remove_files(node, name, err);
}
