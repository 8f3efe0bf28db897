/* SPDX-License-Identifier: ISC */
/*
 * qmail-start: the processes of one queue, each under its own user
 * (qmail-start(8)).  Single-threaded, so it may fork.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/parent.h"
#include "base/usage.h"
#include "control/home.h"
#include "control/identity.h"

enum { RESTART_MS = 1000, CHILD_COUNT = 2 };

struct child {
	const char *program;
	enum identity_role role;
	bool is_main; /* its end is the queue's end */
	pid_t pid;    /* 0: not running */
	int64_t start_at;
};

static struct child children[CHILD_COUNT] = {
	{ .program = "qmail-send", .role = IDENTITY_QUEUE, .is_main = true },
	{ .program = "qmail-vdeliver", .role = IDENTITY_VIRTUAL },
};

static char *
pid_path(const struct home *home, const char *queue_path)
{
	const char *slash = strrchr(queue_path, '/');

	return xasprintf("%s/qmail-send.%s.pid", home->run,
	    slash == NULL ? queue_path : slash + 1);
}

static void
write_pid(const struct home *home, const char *queue_path, pid_t pid)
{
	char *path = pid_path(home, queue_path);
	char text[32];
	struct error err;

	snprintf(text, sizeof(text), "%ld\n", (long)pid);
	if (file_replace(path, text, strlen(text), 0644, &err) == -1)
		log_line("warning: %s", err.text);
	free(path);
}

/* In the child: its user, its end with ours, its program. */
static void
become(const struct child *child, const char *dir, const char *queue_path,
    pid_t parent)
{
	char *path = xasprintf("%s/%s", dir, child->program);
	struct error err;
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (identity_become(child->role, &err) == -1)
		fatal(111, "cannot start %s: %s", child->program, err.text);
	/* After the change of user, which would clear it. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (getppid() != parent)
		_exit(0); /* it died before we asked to be told */
	execl(path, child->program, queue_path, (char *)NULL);
	fatal(111, "cannot run '%s': %s", path, strerror(errno));
}

static void
start(struct child *child, const char *dir, const struct home *home,
    const char *queue_path)
{
	pid_t parent = getpid();
	pid_t pid = fork();

	child->start_at = clock_ms() + RESTART_MS;
	if (pid == 0)
		become(child, dir, queue_path, parent);
	if (pid == -1) {
		log_line("alert: cannot fork for %s: %s", child->program,
		    strerror(errno));
		return;
	}
	child->pid = pid;
	if (child->is_main)
		write_pid(home, queue_path, pid);
}

static void
log_exit(const struct child *child, int status)
{
	if (WIFSIGNALED(status))
		log_line("alert: %s was killed by signal %d", child->program,
		    WTERMSIG(status));
	else if (WEXITSTATUS(status) != 0)
		log_line("alert: %s exited with %d", child->program,
		    WEXITSTATUS(status));
}

/* Notes who ended; the status of qmail-send, or -1 while it runs. */
static int
reap(void)
{
	int status, result = -1, i;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (i = 0; i < CHILD_COUNT; i++) {
			if (children[i].pid != pid)
				continue;
			children[i].pid = 0;
			log_exit(&children[i], status);
			if (children[i].is_main)
				result = WIFEXITED(status) ? WEXITSTATUS(status)
							   : 111;
		}
	return result;
}

/* Ends what still runs and waits for it. */
static void
end_workers(void)
{
	int i;

	for (i = 0; i < CHILD_COUNT; i++)
		if (children[i].pid != 0)
			kill(children[i].pid, SIGTERM);
	for (i = 0; i < CHILD_COUNT; i++)
		while (children[i].pid != 0 &&
		    waitpid(children[i].pid, NULL, 0) == -1 && errno == EINTR)
			continue;
}

/* Runs the queue until qmail-send ends.  Its exit code. */
static int
supervise(int signals, const char *dir, const struct home *home,
    const char *queue_path)
{
	struct pollfd in = { .fd = signals, .events = POLLIN };
	struct signalfd_siginfo info;
	bool is_stopping = false;
	int status, i;

	for (;;) {
		for (i = 0; i < CHILD_COUNT; i++)
			if (children[i].pid == 0 && !is_stopping &&
			    clock_ms() >= children[i].start_at)
				start(&children[i], dir, home, queue_path);
		poll(&in, 1, RESTART_MS);
		while (read(signals, &info, sizeof(info)) == sizeof(info)) {
			if (info.ssi_signo == SIGCHLD)
				continue;
			is_stopping |= info.ssi_signo == SIGTERM ||
			    info.ssi_signo == SIGINT;
			if (children[0].pid != 0)
				kill(children[0].pid, (int)info.ssi_signo);
		}
		status = reap();
		if (status != -1)
			return status;
	}
}

static const char usage[] = "usage: qmail-start QUEUEDIR";

int
main(int argc, char **argv)
{
	struct home *home = home_new();
	char *dir = file_program_dir();
	sigset_t set;
	int signals, status;

	log_open("qmail-start");
	usage_answer(argv, "qmail-start", usage);
	if (argc != 2 || argv[1][0] == '-')
		fatal(100, "%s", usage);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGALRM);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals == -1)
		fatal(111, "cannot make a signalfd: %s", strerror(errno));
	parent_end_with(parent_supervise());
	/* What qmail-send and the workers log is the queue's log as it is. */
	status = supervise(signals, dir, home, argv[1]);
	end_workers();
	free(dir);
	home_free(&home);
	return status;
}
