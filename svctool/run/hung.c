/* SPDX-License-Identifier: ISC */
/* Does a service run, but answer nobody? */
#include "svctool/run/hung.h"

#include <inttypes.h>
#include <stdlib.h>

#include "svctool/run/proc.h"
#include "svctool/run/ready.h"

static bool
is_stopped(pid_t pid, struct error *err)
{
	struct proc proc;

	if (pid == 0 || !proc_find_stopped(pid, &proc))
		return false;
	error_set(err,
	    "its process %ld (%s) was stopped by a signal and answers nobody: "
	    "'kill -CONT %ld' lets it go on",
	    (long)proc.pid, proc.name, (long)proc.pid);
	return true;
}

bool
hung_queue(const struct node *node, const char *name, struct error *err)
{
	char *folder = node_path(node, "%s/%s", node->home->queue, name);
	struct health health;
	int64_t age_ms;
	bool is_hung = false;

	if (health_read_age(folder, &health, &age_ms, NULL) != 1 ||
	    health.state == HEALTH_DOWN)
		;
	else if (is_stopped(health.pid, err))
		is_hung = true;
	else if (age_ms > HEALTH_SILENT_MS) {
		error_set(err,
		    "qmail-send (pid %ld) has said nothing for %" PRId64
		    " s: see the end of %s/%s/current, and whether its disk "
		    "answers ('ls %s'); 'svctool restart' ends it by force",
		    (long)health.pid, age_ms / 1000, node->home->log, name,
		    folder);
		is_hung = true;
	}
	free(folder);
	return is_hung;
}

bool
hung_service(const struct node *node, const char *name,
    const struct supervise_state *state, struct error *err)
{
	return is_stopped(state->pid, err) ||
	    (ready_is_queue(node, name) && hung_queue(node, name, err));
}
