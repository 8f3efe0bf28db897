/* SPDX-License-Identifier: ISC */
/* Ends a service and removes its folder. */
#include <errno.h>
#include <stdio.h>

#include "base/file.h"
#include "base/mem.h"
#include "svctool/run/service.h"
#include "svctool/run/supervise.h"
#include "svctool/wait.h"

/* supervise writes into its folder until it ends. */
static int
wait_unsupervised(const char *folder, int64_t deadline, struct error *err)
{
	struct supervise_state state;

	do {
		int result = supervise_read(folder, &state, err);

		if (result == -1 || !state.is_supervised)
			return result == -1 ? -1 : 0;
	} while (wait_more(deadline));
	return error_set(err,
	    "the supervise of '%s' does not end: remove the folder when it has",
	    folder);
}

/*
 * The service's folder leaves svscan's sight before supervise ends, or svscan
 * would start it again.
 */
int
service_remove(const struct node *node, const char *name, unsigned timeout_s,
    struct error *err)
{
	OWN_TEXT folder = node_path(node, "%s/%s", node->home->service, name);
	OWN_TEXT hidden = node_path(
	    node, "%s/.old-%s", node->home->service, name);
	OWN_TEXT log = xasprintf("%s/log", hidden);
	int64_t deadline = clock_ms() + timeout_s * 1000L;
	int result = -1;

	if (rename(folder, hidden) == -1 && errno != ENOENT)
		error_sys(err, "cannot rename '%s'", folder);
	else if (supervise_send(hidden, "dx", err) != -1 &&
	    wait_unsupervised(hidden, deadline, err) == 0 &&
	    /* svscan holds the pipe, so the log has to be told too. */
	    supervise_send(log, "dx", err) != -1 &&
	    wait_unsupervised(log, deadline, err) == 0 &&
	    file_remove_tree(hidden, err) == 0) {
		make_say("removed", "%s", folder);
		result = 0;
	}
	return result;
}
