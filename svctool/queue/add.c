/* SPDX-License-Identifier: ISC */
/* svctool queue add and fix. */
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "svctool/make.h"
#include "svctool/queue/count.h"
#include "svctool/queue/ops.h"
#include "svctool/run/place.h"
#include "svctool/run/ready.h"
#include "svctool/run/service.h"
#include "svctool/run/spawn.h"
#include "svctool/run/supervise.h"

/* One that was there already may be down by wish. */
static int
wait_added(const struct node *node, const char *name, unsigned timeout_s,
    struct error *err)
{
	struct supervise_state state;

	if (ready_read_state(node, name, &state, err) == -1)
		return -1;
	if (ready_is_down_by_wish(node, name, &state, err)) {
		make_say("note", "%s: %s", name, err->text);
		return 0;
	}
	return queue_wait_up(node, name, timeout_s, err);
}

/*
 * The queue is counted when it is up: mail that the multiplexer sends there
 * must find it.
 */
int
queue_add(const struct node *node, const char *name,
    const struct queue_op_options *options, struct error *err)
{
	struct maker maker = { .node = node, .has_users = geteuid() == 0 };
	struct queue_collection collection;
	unsigned number = queue_count_number(name);
	bool is_next;

	if (queue_count_read(node, &collection, err) == -1)
		return -1;
	is_next = number == collection.start + collection.count;
	if (number > collection.start + collection.count)
		return error_set(err,
		    "the queues are numbered without a gap: the next one is "
		    "queue%u",
		    collection.start + collection.count);
	if (!place_fits_queue(node, name, err) ||
	    service_make_queue(&maker, name, err) == -1 ||
	    wait_added(node, name, options->timeout_s, err) == -1)
		return -1;
	if (is_next)
		return queue_count_write(node, collection.count + 1, err);
	if (maker.made == 0)
		make_say("kept", "%s is already there", name);
	return 0;
}

int
queue_repair(const struct node *node, const char *name,
    const struct queue_op_options *options, struct error *err)
{
	OWN_TEXT folder = node_path(node, "%s/%s", node->home->service, name);
	OWN_TEXT queue = node_path(node, "%s/%s", node->home->queue, name);
	OWN_TEXT fix = xasprintf("%s/queue-fix", node->programs);
	const char *argv[] = { fix, queue, NULL };
	struct supervise_state state;
	int result = queue_must_exist(node, name, err);
	bool was_up = false;

	if (result == 0) {
		was_up = supervise_read(folder, &state, NULL) == 1 &&
		    state.pid != 0;
		result = queue_stop(node, name, options->timeout_s, err);
	}
	if (result == 0)
		result = spawn_wait(argv, NULL, err);
	if (result == 0)
		make_say("fixed", "%s", queue);
	/* Also after a failure: what runs before is to run after. */
	if (was_up &&
	    (supervise_send(folder, "u", err) == -1 ||
		(result == 0 &&
		    queue_wait_up(node, name, options->timeout_s, err) == -1)))
		result = -1;
	return result;
}
