/* SPDX-License-Identifier: ISC */
/* Outside programs. */
#include "base/program.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"

/*
 * First to numbers above all that count, so that giving the program one cannot
 * overwrite another.
 */
static void
give_fds(posix_spawn_file_actions_t *actions, const struct program_fd *fds,
    size_t count)
{
	int above = 3, highest = 2;

	for (size_t i = 0; i < count; i++) {
		if (fds[i].number > highest)
			highest = fds[i].number;
		if (fds[i].number >= above)
			above = fds[i].number + 1;
		if (fds[i].fd >= above)
			above = fds[i].fd + 1;
	}
	for (size_t i = 0; i < count; i++)
		posix_spawn_file_actions_adddup2(
		    actions, fds[i].fd, above + (int)i);
	for (size_t i = 0; i < count; i++) {
		posix_spawn_file_actions_adddup2(
		    actions, above + (int)i, fds[i].number);
		posix_spawn_file_actions_addclose(actions, above + (int)i);
	}
	/* What we were started with ourselves. */
	posix_spawn_file_actions_addclosefrom_np(actions, highest + 1);
}

pid_t
program_start(const char *program, char *const argv[],
    char *const environment[], const struct program_fd *fds, size_t fd_count,
    struct error *err)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	pid_t pid;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes,
	    POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
		POSIX_SPAWN_SETPGROUP);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &all);
	posix_spawnattr_setpgroup(&attributes, 0);
	posix_spawn_file_actions_init(&actions);
	give_fds(&actions, fds, fd_count);
	errno = posix_spawn(
	    &pid, program, &actions, &attributes, argv, environment);
	if (errno != 0)
		pid = error_sys(err, "cannot start '%s'", program);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	return pid;
}

/* Collects the program if it has ended: 1, 0, or -1 with errno. */
static int
collect_program(pid_t pid, int *status_out)
{
	pid_t ended = waitpid(pid, status_out, WNOHANG);

	return ended == pid ? 1 : (int)ended;
}

int
program_wait(pid_t pid, int timeout_ms, int *status_out)
{
	int64_t deadline_ms = clock_ms() + timeout_ms;
	int result = collect_program(pid, status_out);
	int fd;

	if (result != 0)
		return result;
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd == -1)
		return -1;
	if (clock_wait_fd(fd, POLLIN, deadline_ms) == 1)
		result = collect_program(pid, status_out);
	close(fd);
	return result;
}

void
program_stop(pid_t pid, int grace_ms)
{
	int status;

	kill(-pid, SIGTERM);
	if (program_wait(pid, grace_ms, &status) == 1) {
		kill(-pid, SIGKILL); /* what it leaves behind */
		return;
	}
	kill(-pid, SIGKILL);
	while (waitpid(pid, &status, 0) == -1 && errno == EINTR)
		;
}

bool
program_is(pid_t pid, const char *name)
{
	enum { COMM_MAX = 64 };
	AUTO(buf_release) struct buf comm = BUF_INIT;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%ld/comm", (long)pid);
	return file_read(path, COMM_MAX, &comm, NULL) == 1 && comm.length > 0 &&
	    strlen(name) == comm.length - 1 &&
	    memcmp(comm.data, name, comm.length - 1) == 0;
}
