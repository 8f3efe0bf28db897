/* SPDX-License-Identifier: ISC */
/* Stopping all of a node. */
#include "base/mem.h"
#include "svctool/lifecycle/lifecycle.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "svctool/make.h"
#include "svctool/run/ready.h"
#include "svctool/run/session.h"
#include "svctool/run/supervise.h"
#include "svctool/wait.h"

enum { AGAIN_AFTER_MS = 1000, KILL_WAIT_MS = 5000 };

static void
signal_one(const struct proc *proc, int signal_number)
{
	make_say(signal_number == SIGKILL ? "KILL" : "TERM", "%s (pid %ld)",
	    proc->name, (long)proc->pid);
	kill(proc->pid, signal_number);
}

/* Does it work in a folder that has been removed since? */
static bool
is_in_removed(const struct proc *proc)
{
	static const char mark[] = " (deleted)";
	char cwd[PATH_MAX];
	size_t length;

	if (!proc_cwd(proc->pid, cwd, sizeof(cwd)))
		return false;
	length = strlen(cwd);
	return length >= sizeof(mark) &&
	    strcmp(cwd + length - (sizeof(mark) - 1), mark) == 0;
}

/* It would start each service again. */
static int
end_svscan(const struct proc_list *list, struct error *err)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct proc *proc = &list->items[i];

		if (proc->pid != proc->session)
			continue;
		if (is_in_removed(proc))
			signal_one(proc, SIGTERM);
		else if (kill(proc->pid, SIGTERM) == -1 && errno == EPERM)
			return error_set(err,
			    "svscan (pid %ld) is another user's, who started "
			    "the node: stop it as that user, or as root",
			    (long)proc->pid);
	}
	return 0;
}

/*
 * Services get TERM and their supervise ends after them; a log ends by itself
 * when its service has closed the pipe, so that no line is lost.
 */
static int
end_services(
    const struct node *node, const struct strlist *services, struct error *err)
{
	int result = 0;

	for (size_t i = 0; i < services->count; i++) {
		OWN_TEXT folder = node_path(
		    node, "%s/%s", node->home->service, services->items[i]);
		OWN_TEXT log = node_path(
		    node, "%s/%s/log", node->home->service, services->items[i]);

		if (supervise_send(folder, "dx", err) == -1 ||
		    supervise_send(log, "x", err) == -1)
			result = -1;
	}
	return result;
}

/*
 * Ends what takes no orders: a supervise whose folder was removed, and what
 * lost the process that started it.  A multilog ends by itself when the last of
 * its pipe's writers has.
 */
static void
end_orphans(const struct proc_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct proc *proc = &list->items[i];

		if (proc->pid == proc->session ||
		    strcmp(proc->name, "multilog") == 0)
			continue;
		if (strcmp(proc->name, "supervise") == 0
			? is_in_removed(proc)
			: proc_list_find(list, proc->parent) == NULL)
			signal_one(proc, SIGTERM);
	}
}

/*
 * Until none of the list is left: 1; 0 when the time is over; -1.  After a
 * moment all is told once more: svscan may have been about to start a supervise
 * when it ended.
 */
static int
wait_gone(const struct node *node, const struct strlist *services,
    struct proc_list *list, int64_t deadline, struct error *err)
{
	int64_t again_at = clock_ms() + AGAIN_AFTER_MS;

	do {
		if (session_list_again(list, err) == -1)
			return -1;
		if (list->count == 0)
			return 1;
		if (clock_ms() >= again_at) {
			end_services(node, services, NULL);
			end_orphans(list);
			again_at = deadline;
		}
	} while (wait_more(deadline));
	return 0;
}

static int
kill_late(const struct node *node, const struct strlist *services,
    struct proc_list *late, unsigned timeout_s, struct error *err)
{
	int result;

	make_say("late", "%zu process%s did not end in %u s", late->count,
	    late->count == 1 ? "" : "es", timeout_s);
	for (size_t i = 0; i < late->count; i++)
		signal_one(&late->items[i], SIGKILL);
	result = wait_gone(
	    node, services, late, clock_ms() + KILL_WAIT_MS, err);
	if (result == 0)
		result = error_set(err,
		    "process %ld (%s) cannot be ended: try as root",
		    (long)late->items[0].pid, late->items[0].name);
	return result;
}

/* Root does nothing by name in a folder that an ordinary user can change. */
static void
forget(const struct node *node, const struct strlist *services)
{
	uid_t uid;
	gid_t gid;

	if (geteuid() == 0 && node_is_users(node, &uid, &gid))
		return;
	for (size_t i = 0; i < services->count; i++) {
		OWN_TEXT folder = node_path(
		    node, "%s/%s", node->home->service, services->items[i]);

		supervise_forget(folder);
	}
	session_forget(node);
}

int
lifecycle_list(const struct node *node, const struct strlist *services,
    struct proc_list *list_out, struct error *err)
{
	struct supervise_state state;

	if (session_list(node, list_out, err) == -1)
		return -1;
	for (size_t i = 0; list_out->count == 0 && i < services->count; i++)
		if (ready_read_state(node, services->items[i], &state, err) ==
			0 &&
		    state.is_supervised)
			return error_set(err,
			    "'%s/%s' was not started by 'svctool start': end "
			    "the svscan that keeps it up ('svctool status' "
			    "shows which), in the way in which that was "
			    "started",
			    node->home->service, services->items[i]);
	return 0;
}

bool
lifecycle_is_left(const struct node *node)
{
	AUTO(proc_list_release) struct proc_list list = { .count = 0 };

	if (access(node->home->root, F_OK) == 0 || errno != ENOENT)
		return false;
	return session_list(node, &list, NULL) == 0 && list.count > 0;
}

int
lifecycle_stop(const struct node *node, unsigned timeout_s, struct error *err)
{
	AUTO(strlist_release) struct strlist services = { .count = 0 };
	AUTO(proc_list_release) struct proc_list list = { .count = 0 };
	int64_t deadline = clock_ms() + timeout_s * 1000L;
	int result = -1;

	if (node_services(node, &services, err) == 0 &&
	    lifecycle_list(node, &services, &list, err) == 0 &&
	    end_svscan(&list, err) == 0 &&
	    end_services(node, &services, err) == 0) {
		end_orphans(&list);
		result = wait_gone(node, &services, &list, deadline, err);
	}
	if (result == 0)
		result = kill_late(node, &services, &list, timeout_s, err);
	if (result == 1)
		forget(node, &services);
	return result == 1 ? 0 : -1;
}
