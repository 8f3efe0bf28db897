/* SPDX-License-Identifier: ISC */
/* Stopping all of a node. */
#include "svctool/lifecycle/lifecycle.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "svctool/make.h"
#include "svctool/run/proc.h"
#include "svctool/run/supervise.h"

enum {
	LOOK_AGAIN_MS = 20,
	WITHOUT_SUPERVISE_MS = 1000, /* then TERM by pid, see below */
	KILL_WAIT_MS = 5000
};

/*
 * Services get TERM and their supervise ends after them; a log ends by itself
 * when its service has closed the pipe, so that no line is lost.
 */
static int
end_services(
    const struct node *node, const struct arg_list *services, struct error *err)
{
	int result = 0;

	for (size_t i = 0; i < services->count; i++) {
		char *folder = node_path(
		    node, "%s/%s", node->home->service, services->items[i]);
		char *log = node_path(
		    node, "%s/%s/log", node->home->service, services->items[i]);

		if (supervise_send(folder, "dx", err) == -1 ||
		    supervise_send(log, "x", err) == -1)
			result = -1;
		free(log);
		free(folder);
	}
	return result;
}

static void
signal_one(const struct proc *proc, int signal_number)
{
	make_say(signal_number == SIGKILL ? "KILL" : "TERM", "%s (pid %ld)",
	    proc->name, (long)proc->pid);
	kill(proc->pid, signal_number);
}

/* Is there a process of the node that started it? */
static bool
has_parent(const struct proc *proc, const struct proc_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		if (list->items[i].pid == proc->parent)
			return true;
	return false;
}

/*
 * Ends the services that no supervise could end, because theirs was killed.  A
 * multilog ends by itself when the last of its pipe's writers has.
 */
static void
end_orphans(const struct proc_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct proc *proc = &list->items[i];

		if (strncmp(proc->name, "qmail-", 6) == 0 &&
		    !has_parent(proc, list))
			signal_one(proc, SIGTERM);
	}
}

/*
 * What keeps services up in folders that were removed takes no orders there,
 * but TERM.  svscan first, which would start each supervise again.
 */
static int
end_removed(const char *root, struct error *err)
{
	static const char *const names[] = { "svscan", "supervise" };
	struct proc_list list;

	if (proc_find_node(root, &list, err) == -1)
		return -1;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		for (size_t j = 0; j < list.count; j++)
			if (strcmp(list.items[j].name, names[i]) == 0 &&
			    proc_is_in_removed(list.items[j].pid))
				signal_one(&list.items[j], SIGTERM);
	proc_list_release(&list);
	return 0;
}

bool
lifecycle_is_left(const struct node *node)
{
	struct proc_list list;
	bool is_left;

	if (access(node->home->root, F_OK) == 0 || errno != ENOENT ||
	    proc_find_node(node->home->root, &list, NULL) == -1)
		return false;
	is_left = list.count > 0;
	proc_list_release(&list);
	return is_left;
}

/*
 * Waits until no process is left.  1; 0 when the time is over, with those that
 * are left in list_out; -1.
 */
static int
wait_gone(const char *root, int64_t deadline, bool may_term,
    struct proc_list *list_out, struct error *err)
{
	int64_t begin = clock_ms();

	for (;;) {
		if (proc_find_node(root, list_out, err) == -1)
			return -1;
		if (list_out->count == 0)
			return 1;
		if (clock_ms() >= deadline)
			return 0;
		if (may_term && clock_ms() >= begin + WITHOUT_SUPERVISE_MS) {
			end_orphans(list_out);
			may_term = false;
		}
		proc_list_release(list_out);
		poll(NULL, 0, LOOK_AGAIN_MS);
	}
}

/* Root does nothing by name in a folder that an ordinary user can change. */
static void
forget_killed(const struct node *node, const struct arg_list *services)
{
	uid_t uid;
	gid_t gid;

	if (geteuid() == 0 && node_is_users(node, &uid, &gid))
		return;
	for (size_t i = 0; i < services->count; i++) {
		char *folder = node_path(
		    node, "%s/%s", node->home->service, services->items[i]);

		supervise_forget(folder);
		free(folder);
	}
}

int
lifecycle_stop(const struct node *node, unsigned timeout_s, struct error *err)
{
	const char *root = node->home->root;
	struct arg_list services = { .count = 0 };
	struct proc_list list = { .count = 0 };
	pid_t svscan = proc_find_svscan(node->home->service);
	int failure, result;

	if (node_services(node, &services, err) == -1)
		return -1;
	/* First, or it would start each service again. */
	failure = svscan != 0 && kill(svscan, SIGTERM) == -1 ? errno : 0;
	if (failure == EPERM)
		result = error_set(err,
		    "svscan (pid %ld) is another user's, who started the node: "
		    "stop it as that user, or as root",
		    (long)svscan);
	else if (failure != 0 && failure != ESRCH)
		result = error_set(err, "cannot stop svscan (pid %ld): %s",
		    (long)svscan, strerror(failure));
	else
		result = end_services(node, &services, err);
	if (result == 0)
		result = end_removed(root, err);
	if (result == 0)
		result = wait_gone(
		    root, clock_ms() + timeout_s * 1000L, true, &list, err);
	if (result == 0) {
		make_say("late", "%zu process%s did not end in %u s",
		    list.count, list.count == 1 ? "" : "es", timeout_s);
		for (size_t i = 0; i < list.count; i++)
			signal_one(&list.items[i], SIGKILL);
		proc_list_release(&list);
		result = wait_gone(
		    root, clock_ms() + KILL_WAIT_MS, false, &list, err);
		if (result == 0)
			result = error_set(err,
			    "process %ld (%s) cannot be ended: try as root",
			    (long)list.items[0].pid, list.items[0].name);
	}
	proc_list_release(&list);
	if (result != -1)
		forget_killed(node, &services);
	arg_list_release(&services);
	return result == -1 ? -1 : 0;
}
