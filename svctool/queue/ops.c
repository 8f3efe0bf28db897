/* SPDX-License-Identifier: ISC */
/* What the subcommands of svctool queue share. */
#include "svctool/queue/ops.h"

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/plural.h"
#include "queue/dir.h"
#include "queue/look.h"
#include "svctool/make.h"
#include "svctool/run/ready.h"
#include "svctool/run/session.h"
#include "svctool/run/supervise.h"
#include "svctool/run/systemd_guard.h"
#include "svctool/wait.h"

int
queue_must_exist(const struct node *node, const char *name, struct error *err)
{
	OWN_TEXT path = node_path(node, "%s/%s", node->home->queue, name);
	int result = access(path, F_OK);

	if (result == -1)
		error_set(err,
		    "no queue '%s': 'svctool status' lists those that there "
		    "are",
		    path);
	return result;
}

int
queue_stop(const struct node *node, const char *name, unsigned timeout_s,
    struct error *err)
{
	OWN_TEXT folder = node_path(node, "%s/%s", node->home->service, name);
	OWN_TEXT queue = node_path(node, "%s/%s", node->home->queue, name);
	int64_t deadline = clock_ms() + timeout_s * 1000L;
	int result = systemd_guard(node, name, err);

	if (result == 0)
		result = supervise_send(folder, "d", err);
	if (result == 1)
		make_say("stop", "%s", name);
	if (result == -1)
		return -1;
	while ((result = queue_is_owned(queue, err)) == 1)
		if (!wait_more(deadline))
			return error_set(err,
			    "'%s' still has a process after %u s: 'svctool "
			    "status' shows it",
			    queue, timeout_s);
	return result;
}

int
queue_wait_up(const struct node *node, const char *name, unsigned timeout_s,
    struct error *err)
{
	int64_t deadline = clock_ms() + timeout_s * 1000L;

	if (session_svscan(node) == 0) {
		make_say("note", "the node is not running, so %s is not", name);
		return 0;
	}
	do {
		struct supervise_state state;

		if (ready_read_state(node, name, &state, err) == -1)
			return -1;
		if (ready_does_work(ready_service(node, name, &state, err))) {
			make_say("up", "%s", name);
			return 0;
		}
	} while (wait_more(deadline));
	return error_context(
	    err, "%s is not ready after %u s", name, timeout_s);
}

long
queue_messages(const struct node *node, const char *name, struct error *err)
{
	OWN_TEXT path = node_path(node, "%s/%s", node->home->queue, name);
	AUTO(queue_dir_close)
	struct queue_dir *queue = queue_dir_open(path, err);
	struct look_count count;
	OWN_TEXT stranger = NULL;
	long result = -1;

	if (queue != NULL && look_count(queue, &count, err) == 0)
		result = (long)count.messages;
	if (result == 0 && count.aside > 0)
		result = error_set(err,
		    "'%s/lock' has %" PRIu64 " file%s that qmail-send kept, "
		    "since there may be mail in them that could not be read: "
		    "save what is wanted of it, then remove them ('svctool "
		    "check' names them)",
		    path, count.aside, plural(count.aside));
	if (result == 0 && look_stranger(queue, &stranger, err) != 0) {
		result = -1;
		if (stranger != NULL)
			error_set(err,
			    "'%s/%s' is no message's, and may be somebody's: "
			    "move it away",
			    path, stranger);
	}
	return result;
}
