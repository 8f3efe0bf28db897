/* SPDX-License-Identifier: ISC */
/*
 * qmail-start: the processes of one queue, each under its own user
 * (qmail-start(8)).  Single-threaded, so it may fork.
 *
 * A worker's descriptor 0 is one end of a socket pair; the other one goes to
 * qmail-send over the control socket, which is qmail-send's descriptor 0
 * (docs/protocol.md, Deliveries).
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/packet.h"
#include "base/process.h"
#include "base/signals.h"
#include "base/usage.h"
#include "control/home.h"
#include "control/identity.h"
#include "control/settings.h"
#include "queue/job.h"

enum { RESTART_MS = 1000 };

struct child {
	const char *program;
	enum identity_role role;
	enum job_channel channel; /* of a worker */
	pid_t pid;                /* 0: not running */
	int64_t start_at;
};

struct starter {
	const struct home *home;
	const char *dir; /* of the programs */
	const char *queue_path;
	/* The control socket: ours, and that of qmail-send; -1 once it runs. */
	int control_fd, send_fd;
	struct child *children; /* the first is qmail-send */
	size_t child_count;
};

static void
write_pid(const struct starter *starter, pid_t pid)
{
	const char *slash = strrchr(starter->queue_path, '/');
	AUTO(mem_free)
	char *path = xasprintf("%s/qmail-send.%s.pid", starter->home->run,
	    slash == NULL ? starter->queue_path : slash + 1);
	char text[32];
	struct error err;

	snprintf(text, sizeof(text), "%ld\n", (long)pid);
	if (file_replace(path, text, strlen(text), 0644, &err) == -1)
		log_line("warning: %s", err.text);
}

/* In the child: its user, its end with ours, its descriptor 0, its program. */
static void
become(const struct starter *starter, const struct child *child, int fd,
    pid_t parent)
{
	char *path = xasprintf("%s/%s", starter->dir, child->program);
	struct error err;
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (dup2(fd, STDIN_FILENO) == -1)
		fatal(111, "cannot start %s: %m", child->program);
	if (identity_become(child->role, &err) == -1)
		fatal(111, "cannot start %s: %s", child->program, err.text);
	/* After the change of user, which would clear it. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (getppid() != parent)
		_exit(0); /* it died before we asked to be told */
	execl(path, child->program, starter->queue_path, (char *)NULL);
	fatal(111, "cannot run '%s': %m", path);
}

/* Starts the child with fd as its descriptor 0.  False when it cannot. */
static bool
start_child(const struct starter *starter, struct child *child, int fd)
{
	pid_t parent = getpid();
	pid_t pid = fork();

	if (pid == 0)
		become(starter, child, fd, parent);
	if (pid == -1) {
		log_line("alert: cannot fork for %s: %m", child->program);
		return false;
	}
	child->pid = pid;
	return true;
}

static void
start_send(struct starter *starter, struct child *child)
{
	if (!start_child(starter, child, starter->send_fd))
		return;
	write_pid(starter, child->pid);
	/* From now on its end is seen in the control socket. */
	close(starter->send_fd);
	starter->send_fd = -1;
}

/*
 * A worker whose connection does not reach qmail-send sees the end of it, ends,
 * and is started again.
 */
static void
start_worker(const struct starter *starter, struct child *child)
{
	const char channel = (char)child->channel;
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == -1) {
		log_line("alert: cannot make a socket pair for %s: %s",
		    child->program, strerror(errno));
		return;
	}
	if (start_child(starter, child, ends[0]) &&
	    packet_send(
		starter->control_fd, &channel, 1, ends[1], MSG_DONTWAIT) == -1)
		log_line("alert: cannot give %s to qmail-send: %s",
		    child->program, strerror(errno));
	close(ends[0]);
	close(ends[1]);
}

static void
start_missing(struct starter *starter)
{
	for (size_t i = 0; i < starter->child_count; i++) {
		struct child *child = &starter->children[i];

		if (child->pid != 0 || clock_ms() < child->start_at)
			continue;
		child->start_at = clock_ms() + RESTART_MS;
		if (i == 0)
			start_send(starter, child);
		else
			start_worker(starter, child);
	}
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
reap(struct starter *starter)
{
	int status, result = -1;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (size_t i = 0; i < starter->child_count; i++) {
			struct child *child = &starter->children[i];

			if (child->pid != pid)
				continue;
			child->pid = 0;
			log_exit(child, status);
			if (i == 0)
				result = WIFEXITED(status) ? WEXITSTATUS(status)
							   : 111;
		}
	return result;
}

/* Ends what still runs and waits for it. */
static void
end_workers(struct starter *starter)
{
	for (size_t i = 0; i < starter->child_count; i++)
		if (starter->children[i].pid != 0)
			kill(starter->children[i].pid, SIGTERM);
	for (size_t i = 0; i < starter->child_count; i++)
		while (starter->children[i].pid != 0 &&
		    waitpid(starter->children[i].pid, NULL, 0) == -1 &&
		    errno == EINTR)
			continue;
}

/* Runs the queue until qmail-send ends.  Its exit code. */
static int
supervise(struct starter *starter, int signals)
{
	bool is_stopping = false;
	int status, number;

	for (;;) {
		if (!is_stopping)
			start_missing(starter);
		clock_wait_fd(signals, POLLIN, clock_ms() + RESTART_MS);
		while ((number = signals_next(signals)) != 0) {
			if (number == SIGCHLD)
				continue;
			is_stopping |= number == SIGTERM || number == SIGINT;
			if (starter->children[0].pid != 0)
				kill(starter->children[0].pid, number);
		}
		status = reap(starter);
		if (status != -1)
			return status;
	}
}

/* qmail-send, and as many workers as the settings say. */
static void
list_children(struct starter *starter)
{
	struct error err;
	struct settings *settings = settings_load(
	    starter->home->control, "qmail-start", NULL, &err);
	size_t workers;

	if (settings == NULL)
		fatal(111, "cannot start: %s", err.text);
	workers = settings_number(settings, SETTING_vdeliverworkers);
	settings_free(&settings);
	starter->child_count = 1 + workers;
	starter->children = xcalloc(
	    starter->child_count, sizeof(*starter->children));
	starter->children[0] = (struct child){ .program = "qmail-send",
		.role = IDENTITY_QUEUE };
	for (size_t i = 1; i <= workers; i++)
		starter->children[i] = (struct child){
			.program = "qmail-vdeliver",
			.role = IDENTITY_VIRTUAL,
			.channel = JOB_VIRTUAL,
		};
}

/* Descriptors 0 to 2 are there, so that no socket becomes one of them. */
static void
fill_standard_descriptors(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd != -1 && fd <= STDERR_FILENO);
	if (fd != -1)
		close(fd);
}

static const char usage[] = "usage: qmail-start QUEUEDIR";

int
main(int argc, char **argv)
{
	struct home *home = home_new();
	char *dir = file_program_dir();
	struct starter starter = { .home = home, .dir = dir };
	int signals, status, ends[2];

	log_open("qmail-start");
	usage_answer(argv, "qmail-start", usage);
	if (argc != 2 || argv[1][0] == '-')
		fatal(100, "%s", usage);
	starter.queue_path = argv[1];
	fill_standard_descriptors();
	signals = signals_open(SIGTERM, SIGINT, SIGHUP, SIGALRM, SIGCHLD, 0);
	if (signals == -1)
		fatal(111, "cannot make a signalfd: %m");
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == -1)
		fatal(111, "cannot make a socket pair: %m");
	starter.control_fd = ends[0];
	starter.send_fd = ends[1];
	list_children(&starter);
	parent_end_with(parent_supervise());
	/* What qmail-send and the workers log is the queue's log as it is. */
	status = supervise(&starter, signals);
	end_workers(&starter);
	free(starter.children);
	free(dir);
	home_free(&home);
	return status;
}
