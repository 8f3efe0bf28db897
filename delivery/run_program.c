/* SPDX-License-Identifier: ISC */
/* A program that a delivery runs, to its end. */
#include "delivery/run_program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"

enum { LOOK_MS = 1000 };

/* Takes what it has written; the pipe does not block. */
static void
take_output(int fd, struct run_program *run, size_t *used)
{
	char chunk[4096];
	ssize_t n;

	while ((n = read(fd, chunk, sizeof(chunk))) > 0)
		for (ssize_t i = 0; i < n && *used < RUN_OUTPUT_MAX; i++) {
			unsigned char c = (unsigned char)chunk[i];

			run->output[(*used)++] = (char)(c == '\n' ? '\n'
				: c < ' ' || c == 127             ? '?'
								  : c);
		}
	run->output[*used] = '\0';
}

static bool
is_to_stop(const struct run_program *run, int64_t deadline_ms)
{
	return clock_ms() >= deadline_ms ||
	    (run->is_stopping != NULL && atomic_load(run->is_stopping));
}

static int
wait_for_end(struct run_program *run, pid_t pid, int output, struct error *err)
{
	int64_t deadline_ms = clock_ms() + run->timeout_ms;
	size_t used = 0;
	AUTO(file_close) int pid_fd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd fds[2] = { { .fd = pid_fd, .events = POLLIN },
		{ .fd = output, .events = POLLIN } };
	int result = -1;

	while (pid_fd != -1 && !is_to_stop(run, deadline_ms)) {
		int64_t left_ms = deadline_ms - clock_ms();

		poll(fds, 2, (int)(left_ms < LOOK_MS ? left_ms : LOOK_MS));
		take_output(output, run, &used);
		if ((fds[1].revents & POLLIN) == 0 &&
		    (fds[1].revents & POLLHUP) != 0)
			fds[1].fd = -1; /* it has closed it */
		result = program_wait(pid, 0, &run->status);
		if (result != 0)
			break;
	}
	take_output(output, run, &used);
	if (result == 1)
		return 0;
	if (pid_fd == -1 || result == -1)
		error_sys(err, "cannot wait for '%s'", run->program);
	program_stop(pid, run->grace_ms);
	run->was_stopped = pid_fd != -1 && result == 0;
	return run->was_stopped ? 0 : -1;
}

int
run_program(struct run_program *run, struct error *err)
{
	int ends[2];
	struct program_fd fds[3];
	int result = -1;
	pid_t pid;

	run->status = 0;
	run->was_stopped = false;
	run->output[0] = '\0';
	if (pipe2(ends, O_CLOEXEC) == -1)
		return error_sys(err, "cannot make a pipe");
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	fds[0] = (struct program_fd){ run->fd, STDIN_FILENO };
	fds[1] = (struct program_fd){ ends[1], STDOUT_FILENO };
	fds[2] = (struct program_fd){ ends[1], STDERR_FILENO };
	pid = program_start(
	    run->program, run->argv, run->environment, fds, 3, err);
	close(ends[1]);
	if (pid != -1)
		result = wait_for_end(run, pid, ends[0], err);
	close(ends[0]);
	return result;
}
