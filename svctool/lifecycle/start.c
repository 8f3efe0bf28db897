/* SPDX-License-Identifier: ISC */
/* Starting all of a node. */
#include "svctool/lifecycle/lifecycle.h"

#include <fcntl.h>
#include <stdio.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "svctool/make.h"
#include "svctool/run/ports.h"
#include "svctool/run/ready.h"
#include "svctool/run/session.h"

enum { STOP_OLD_S = 30 };

/* A port that somebody else has is known before anything is started. */
static int
check_ports_free(
    const struct node *node, const struct strlist *services, struct error *err)
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
 * In the child: svscan with nothing of ours but PATH and MQMAIL_HOME.  Returns
 * only on failure.
 */
static void
become_svscan(const struct node *node, const char *log_path, pid_t parent,
    struct error *err)
{
	char *argv[] = { xstrdup("svscan"), node->home->service, NULL };
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

	/* Until it is recorded a killed svctool takes it along: no stop that
	 * comes then could know of it. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) == -1 || getppid() != parent) {
		error_set(err, "svctool has ended");
		return;
	}
	if (session_begin(node, err) == -1)
		return;
	prctl(PR_SET_PDEATHSIG, 0);
	if (null_fd != -1 && log_fd != -1 && dup2(null_fd, 0) != -1 &&
	    dup2(log_fd, 1) != -1 && dup2(log_fd, 2) != -1) {
		/* Whoever waits for the end of a pipe of ours must not wait
		 * for svscan. */
		close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
		execvpe("svscan", argv, environment);
	}
	error_sys(err,
	    "cannot start svscan (package daemontools) with its log '%s'",
	    log_path);
}

static int
start_svscan(const struct node *node, struct error *err)
{
	OWN_TEXT log_path = xasprintf("%s/svscan.log", node->home->log);
	pid_t parent = getpid();
	int reason_pipe[2];
	ssize_t n;
	pid_t pid;

	if (pipe2(reason_pipe, O_CLOEXEC) == -1)
		return error_sys(err, "cannot make a pipe");
	pid = fork();
	if (pid == 0) {
		become_svscan(node, log_path, parent, err);
		_exit(write(reason_pipe[1], err, sizeof(*err)) == -1);
	}
	close(reason_pipe[1]);
	if (pid == -1) {
		close(reason_pipe[0]);
		return error_sys(err, "cannot fork");
	}
	n = read(reason_pipe[0], err, sizeof(*err));
	close(reason_pipe[0]);
	if (n > 0)
		return -1;
	make_say(
	    "started", "svscan %s (pid %ld)", node->home->service, (long)pid);
	return 0;
}

/*
 * Two starts at one time would both find nothing that runs.  The lock is free
 * when the descriptor is closed, or we end.
 */
static int
lock_start(const struct node *node, struct error *err)
{
	int fd = open(node->home->run, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd != -1 && flock(fd, LOCK_EX) == 0)
		return fd;
	error_sys(err, "cannot lock '%s'", node->home->run);
	file_close(&fd);
	return -1;
}

/* svscan runs when this succeeds; what an earlier one left does not. */
static int
run_svscan(
    const struct node *node, const struct strlist *services, struct error *err)
{
	pid_t svscan = session_svscan(node);
	AUTO(proc_list_release) struct proc_list list = { .count = 0 };

	if (svscan != 0) {
		make_say("kept", "svscan %s runs already (pid %ld)",
		    node->home->service, (long)svscan);
		return 0;
	}
	if (lifecycle_list(node, services, &list, err) == -1)
		return -1;
	if (list.count > 0) {
		make_say("stop",
		    "%zu process%s of an earlier run without svscan",
		    list.count, list.count == 1 ? "" : "es");
		if (lifecycle_stop(node, STOP_OLD_S, err) == -1)
			return -1;
	}
	return check_ports_free(node, services, err) == -1
	    ? -1
	    : start_svscan(node, err);
}

int
lifecycle_start(const struct node *node, unsigned timeout_s, unsigned *down_out,
    struct error *err)
{
	AUTO(strlist_release) struct strlist services = { .count = 0 };
	AUTO(wait_up_free) struct wait_up *wait = NULL;
	int lock_fd, result;

	if (node_services(node, &services, err) == -1 ||
	    (lock_fd = lock_start(node, err)) == -1)
		return -1;
	wait = wait_up_begin(node, &services);
	result = run_svscan(node, &services, err);
	close(lock_fd);
	return result == -1 ? -1 : wait_up_end(wait, timeout_s, down_out, err);
}
