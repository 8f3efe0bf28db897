/* SPDX-License-Identifier: ISC */
/* What an outside program writes. */
#include "remote/output.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/queue.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/program.h"

enum { GRACE_MS = 2000 };

/* A program that may be ended from outside: it is not waited for yet. */
struct running {
	LIST_ENTRY(running) in_list;
	pid_t pid;
};
static LIST_HEAD(, running) all_running = LIST_HEAD_INITIALIZER(all_running);
static pthread_mutex_t all_lock = PTHREAD_MUTEX_INITIALIZER;

static void
enlist(struct running *running)
{
	pthread_mutex_lock(&all_lock);
	LIST_INSERT_HEAD(&all_running, running, in_list);
	pthread_mutex_unlock(&all_lock);
}

static void
delist(struct running *running)
{
	pthread_mutex_lock(&all_lock);
	LIST_REMOVE(running, in_list);
	pthread_mutex_unlock(&all_lock);
}

void
output_end_all(void)
{
	const struct running *running;

	pthread_mutex_lock(&all_lock);
	LIST_FOREACH(running, &all_running, in_list)
		kill(-running->pid, SIGTERM);
	pthread_mutex_unlock(&all_lock);
}

static pid_t
start_program(const struct output_run *run, int output_fd, struct error *err)
{
	AUTO(file_close) int nothing = -1;
	struct program_fd fds[] = { { run->input_fd, 0 }, { output_fd, 1 } };

	if (run->input_fd == -1) {
		nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
		if (nothing == -1)
			return error_sys(err, "cannot open /dev/null");
		fds[0].fd = nothing;
	}
	return program_start(
	    run->argv[0], run->argv, run->environment, fds, 2, err);
}

/* Until it closes its end.  0, or -1. */
static int
read_output(const struct output_run *run, int fd, int64_t deadline_ms,
    struct buf *output, struct error *err)
{
	char chunk[4096];
	size_t before = output->length;
	ssize_t n;

	for (;;) {
		if (clock_wait_fd(fd, POLLIN, deadline_ms) == 0)
			return error_set(
			    err, "'%s' took too long", run->argv[0]);
		n = read(fd, chunk, sizeof(chunk));
		if (n == 0)
			return 0;
		if (n == -1 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n == -1)
			return error_sys(
			    err, "cannot read what '%s' writes", run->argv[0]);
		if (output->length - before + (size_t)n > run->output_max)
			return error_set(
			    err, "'%s' wrote too much", run->argv[0]);
		buf_add(output, chunk, (size_t)n);
	}
}

/* It has closed its output.  0, or -1. */
static int
await_exit(const struct output_run *run, pid_t pid, int64_t deadline_ms,
    struct error *err)
{
	int64_t left_ms = deadline_ms - clock_ms();
	int status = 0;
	int ended = program_wait(pid, left_ms > 0 ? (int)left_ms : 0, &status);

	if (ended != 1) {
		program_stop(pid, GRACE_MS);
		return error_set(err, "'%s' took too long", run->argv[0]);
	}
	/* What it left behind. */
	kill(-pid, SIGKILL);
	if (WIFSIGNALED(status))
		return error_set(err, "'%s' crashed (signal %d)", run->argv[0],
		    WTERMSIG(status));
	return WEXITSTATUS(status) == 0
	    ? 0
	    : error_set(err, "'%s' exited with %d", run->argv[0],
		  WEXITSTATUS(status));
}

int
output_of(
    const struct output_run *run, struct buf *output_out, struct error *err)
{
	int64_t deadline_ms = clock_ms() + run->timeout_ms;
	AUTO(file_close) int ours = -1;
	struct running running;
	int ends[2], result;

	if (pipe2(ends, O_CLOEXEC) == -1)
		return error_sys(err, "cannot make a pipe");
	ours = ends[0];
	running.pid = start_program(run, ends[1], err);
	close(ends[1]);
	if (running.pid == -1)
		return -1;
	enlist(&running);
	result = read_output(run, ours, deadline_ms, output_out, err);
	delist(&running);
	if (result == 0)
		return await_exit(run, running.pid, deadline_ms, err);
	program_stop(running.pid, GRACE_MS);
	return -1;
}
