/* SPDX-License-Identifier: ISC */
/* Outside programs. */
#include "base/program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"

static void
close_copies(int *copies, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		close(copies[i]);
	free(copies);
}

/*
 * Copies of the descriptors above every number that the program wants, so that
 * giving it one cannot overwrite another.  NULL with errno.
 */
static int *
copy_above(const struct program_fd *fds, size_t count)
{
	int *copies = xcalloc(count, sizeof(*copies));
	int above = 3;
	size_t i;

	for (i = 0; i < count; i++)
		if (fds[i].number >= above)
			above = fds[i].number + 1;
	for (i = 0; i < count; i++) {
		copies[i] = fcntl(fds[i].fd, F_DUPFD_CLOEXEC, above);
		if (copies[i] == -1) {
			int saved_errno = errno;

			close_copies(copies, i);
			errno = saved_errno;
			return NULL;
		}
	}
	return copies;
}

/* Returns an errno, or 0. */
static int
spawn_with(const char *program, char *const argv[], char *const environment[],
    const struct program_fd *fds, const int *copies, size_t fd_count,
    pid_t *pid_out)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	int error;
	size_t i;

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
	for (i = 0; i < fd_count; i++)
		posix_spawn_file_actions_adddup2(
		    &actions, copies[i], fds[i].number);
	error = posix_spawn(
	    pid_out, program, &actions, &attributes, argv, environment);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	return error;
}

pid_t
program_start(const char *program, char *const argv[],
    char *const environment[], const struct program_fd *fds, size_t fd_count,
    struct error *err)
{
	int *copies = copy_above(fds, fd_count);
	pid_t pid = -1;
	int error;

	if (copies == NULL)
		return error_sys(err, "cannot start '%s'", program);
	error = spawn_with(program, argv, environment, fds, copies, fd_count, &pid);
	close_copies(copies, fd_count);
	if (error == 0)
		return pid;
	errno = error;
	return error_sys(err, "cannot start '%s'", program);
}

/* Collects the program if it has ended: 1, 0, or -1 with errno. */
static int
collect(pid_t pid, int *status_out)
{
	pid_t ended;

	do
		ended = waitpid(pid, status_out, WNOHANG);
	while (ended == -1 && errno == EINTR);
	return ended == pid ? 1 : (int)ended;
}

int
program_wait(pid_t pid, int timeout_ms, int *status_out)
{
	int64_t deadline_ms = clock_ms() + timeout_ms;
	int result = collect(pid, status_out);
	int fd;

	if (result != 0)
		return result;
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd == -1)
		return -1;
	if (clock_wait_fd(fd, POLLIN, deadline_ms) == 1)
		result = collect(pid, status_out);
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
	struct buf comm = BUF_INIT;
	char path[64];
	bool is_it;

	snprintf(path, sizeof(path), "/proc/%ld/comm", (long)pid);
	is_it = file_read(path, COMM_MAX, &comm, NULL) == 1 &&
	    comm.length > 0 && strlen(name) == comm.length - 1 &&
	    memcmp(comm.data, name, comm.length - 1) == 0;
	buf_release(&comm);
	return is_it;
}
