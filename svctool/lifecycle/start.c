/* SPDX-License-Identifier: ISC */
/* Starting all of a node. */
#include "svctool/lifecycle/lifecycle.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "svctool/lifecycle/wait_up.h"
#include "svctool/make.h"
#include "svctool/run/ports.h"
#include "svctool/run/proc.h"
#include "svctool/run/ready.h"

enum { STOP_OLD_S = 30 };

/* A port that somebody else has is known before anything is started. */
static int
check_ports(
    const struct node *node, const struct arg_list *services, struct error *err)
{
	for (size_t i = 0; i < services->count; i++) {
		const char *name = services->items[i];
		struct port_address address;

		if (!node_is_listener(name) || ready_has_down_file(node, name))
			continue;
		if (ready_listen_address(node, name, &address, err) == -1)
			return -1;
		if (port_is_free(&address, err) != 1)
			return error_context(err, "cannot start %s", name);
	}
	return 0;
}

/*
 * In the child: svscan in a session of its own, with nothing of ours but PATH
 * and MQMAIL_HOME.  Returns only on failure, with errno.
 */
static void
become_svscan(const char *service_dir, const char *log_path)
{
	char *argv[] = { xstrdup("svscan"), xstrdup(service_dir), NULL };
	const char *path = getenv("PATH");
	char *environment[] = {
		xasprintf("PATH=%s",
		    path != NULL
			? path
			: "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"),
		xasprintf("MQMAIL_HOME=%s", getenv("MQMAIL_HOME")),
		NULL,
	};
	int null_fd = open("/dev/null", O_RDONLY);
	int log_fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND, 0644);

	if (null_fd == -1 || log_fd == -1 || dup2(null_fd, 0) == -1 ||
	    dup2(log_fd, 1) == -1 || dup2(log_fd, 2) == -1)
		return;
	setsid();
	/* Whoever waits for the end of a pipe of ours must not wait for svscan
	 */
	close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
	execvpe("svscan", argv, environment);
}

static int
start_svscan(const struct node *node, struct error *err)
{
	char *log_path = xasprintf("%s/svscan.log", node->home->log);
	int status_pipe[2];
	int failure = 0;
	pid_t pid;

	if (pipe2(status_pipe, O_CLOEXEC) == -1) {
		free(log_path);
		return error_sys(err, "cannot make a pipe");
	}
	pid = fork();
	if (pid == 0) {
		become_svscan(node->home->service, log_path);
		failure = errno;
		_exit(write(status_pipe[1], &failure, sizeof(failure)) == -1);
	}
	close(status_pipe[1]);
	if (pid == -1)
		error_sys(err, "cannot fork");
	else if (read(status_pipe[0], &failure, sizeof(failure)) > 0) {
		errno = failure;
		pid = error_sys(err,
		    "cannot start svscan (package daemontools) with its log "
		    "'%s'",
		    log_path);
	} else
		make_say("started", "svscan %s (pid %ld)", node->home->service,
		    (long)pid);
	close(status_pipe[0]);
	free(log_path);
	return pid == -1 ? -1 : 0;
}

/* A svscan that died, or was killed, leaves its services without it. */
static int
stop_rest(const struct node *node, struct error *err)
{
	struct proc_list list;
	size_t count;

	if (proc_find_node(node->home->root, &list, err) == -1)
		return -1;
	count = list.count;
	proc_list_release(&list);
	if (count == 0)
		return 0;
	make_say("stop", "%zu process%s of an earlier run without svscan",
	    count, count == 1 ? "" : "es");
	return lifecycle_stop(node, STOP_OLD_S, err);
}

int
lifecycle_start(const struct node *node, unsigned timeout_s, unsigned *down_out,
    struct error *err)
{
	struct arg_list services = { .count = 0 };
	struct wait_up *wait = NULL;
	int result = node_services(node, &services, err);
	pid_t svscan = proc_find_svscan(node->home->service);

	if (result == 0)
		wait = wait_up_begin(node, &services);
	if (result == 0 && svscan != 0)
		make_say("kept", "svscan %s runs already (pid %ld)",
		    node->home->service, (long)svscan);
	else if (result == 0) {
		result = stop_rest(node, err);
		if (result == 0)
			result = check_ports(node, &services, err);
		if (result == 0)
			result = start_svscan(node, err);
	}
	if (result == 0)
		result = wait_up_end(wait, timeout_s, down_out, err);
	wait_up_free(&wait);
	arg_list_release(&services);
	return result;
}
