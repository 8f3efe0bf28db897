/* SPDX-License-Identifier: ISC */
/* Passwords that another program checks. */
#include "auth/checkpassword.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"

enum { STOP_GRACE_MS = 1000 };

/* The path of a program; NULL when there is none.  The caller frees. */
static char *
find_program(const char *name)
{
	const char *path = getenv("PATH");
	OWN_TEXT own = NULL;
	char *found;

	if (strchr(name, '/') != NULL)
		return xstrdup(name);
	own = file_program_dir();
	found = xasprintf("%s/%s", own, name);
	while (access(found, X_OK) == -1) {
		size_t length;

		free(found);
		if (path == NULL || *path == '\0')
			return NULL;
		length = strcspn(path, ":");
		found = xasprintf("%.*s/%s", (int)length, path, name);
		path += length + (path[length] == ':');
	}
	return found;
}

/* A pipe that holds the proof: a descriptor to be read; 0, -1 as of start. */
static int
pipe_proof(const struct checkpassword_proof *proof, struct error *err)
{
	char data[CHECKPASSWORD_MAX];
	const char *const parts[] = { proof->name, proof->secret,
		proof->timestamp };
	size_t length = 0;
	int fds[2], result;

	for (size_t i = 0; i < 3; i++) {
		size_t part = strlen(parts[i]) + 1;

		if (part > sizeof(data) - length) {
			explicit_bzero(data, sizeof(data));
			return 0;
		}
		memcpy(data + length, parts[i], part);
		length += part;
	}
	/* A pipe takes as much at once. */
	result = pipe2(fds, O_CLOEXEC) == -1
	    ? error_sys(err, "cannot make a pipe")
	    : fds[0];
	if (result != -1) {
		if (write(fds[1], data, length) != (ssize_t)length) {
			result = error_sys(err, "cannot write to a pipe");
			close(fds[0]);
		}
		close(fds[1]);
	}
	explicit_bzero(data, sizeof(data));
	return result;
}

pid_t
checkpassword_start(char *const argv[], const struct vars *vars,
    const struct checkpassword_proof *proof, const struct program_fd *fds,
    size_t fd_count, struct error *err)
{
	struct program_fd all[8];
	OWN_TEXT path = find_program(argv[0]);
	char **environment;
	pid_t pid;
	int fd;

	if (path == NULL)
		return error_set(err, "no program '%s'", argv[0]);
	if (fd_count >= sizeof(all) / sizeof(all[0]))
		return error_set(err, "too many descriptors");
	fd = pipe_proof(proof, err);
	if (fd <= 0)
		return fd;
	memcpy(all, fds, fd_count * sizeof(*fds));
	all[fd_count] = (struct program_fd){ .fd = fd, .number = 3 };
	environment = vars_make_environment(vars);
	pid = program_start(path, argv, environment, all, fd_count + 1, err);
	vars_free_environment(environment);
	close(fd);
	return pid;
}

int
checkpassword_judge(const char *program, int status, struct error *err)
{
	if (WIFSIGNALED(status))
		return error_set(err, "'%s' was ended by signal %d", program,
		    WTERMSIG(status));
	if (WEXITSTATUS(status) == 0)
		return 1;
	if (WEXITSTATUS(status) == CHECKPASSWORD_REFUSED)
		return 0;
	return error_set(
	    err, "'%s' ended with %d", program, WEXITSTATUS(status));
}

static void
keep_output(struct buf *output, const char *data, size_t length)
{
	size_t room = output->length < CHECKPASSWORD_OUTPUT_MAX
	    ? CHECKPASSWORD_OUTPUT_MAX - output->length
	    : 0;

	buf_add(output, data, length < room ? length : room);
}

/*
 * Reads what the program says until it has ended; what it has started may keep
 * the pipe open.  0, or -1: the time is over.
 */
static int
follow_program(pid_t pid, int fd, int64_t deadline_ms, struct buf *output)
{
	AUTO(file_close) int pid_fd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd polled[2] = {
		{ .fd = fd, .events = POLLIN },
		{ .fd = pid_fd, .events = POLLIN },
	};
	char data[1024];

	for (;;) {
		int64_t left_ms = deadline_ms - clock_ms();
		bool has_ended = (polled[1].revents & POLLIN) != 0;
		ssize_t n = 0;

		if (left_ms <= 0)
			return -1;
		if ((polled[0].revents & (POLLIN | POLLHUP)) != 0) {
			n = read(fd, data, sizeof(data));
			if (n > 0)
				keep_output(output, data, (size_t)n);
			else
				polled[0].fd = -1;
		}
		if (has_ended && n <= 0)
			return 0;
		polled[0].revents = polled[1].revents = 0;
		if (poll(polled, 2, (int)left_ms) == -1 && errno != EINTR)
			return -1;
	}
}

int
checkpassword_run(char *const argv[], const struct vars *vars,
    const struct checkpassword_proof *proof, int timeout_ms, struct buf *output,
    struct error *err)
{
	int64_t deadline_ms = clock_ms() + timeout_ms;
	AUTO(file_close) int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	AUTO(file_close) int out_fd = -1;
	AUTO(file_close) int in_fd = -1;
	struct program_fd fds[2];
	int status, ends[2];
	pid_t pid;

	if (null_fd == -1 || pipe2(ends, O_CLOEXEC) == -1)
		return error_sys(err, "cannot make a pipe");
	out_fd = ends[0];
	in_fd = ends[1];
	fds[0] = (struct program_fd){ .fd = null_fd, .number = 0 };
	fds[1] = (struct program_fd){ .fd = in_fd, .number = 1 };
	pid = checkpassword_start(argv, vars, proof, fds, 2, err);
	if (pid <= 0)
		return (int)pid;
	file_close(&in_fd);
	if (follow_program(pid, out_fd, deadline_ms, output) == 0 &&
	    program_wait(pid, STOP_GRACE_MS, &status) == 1)
		return checkpassword_judge(argv[0], status, err);
	program_stop(pid, STOP_GRACE_MS);
	return error_set(
	    err, "'%s' did not end within %d ms", argv[0], timeout_ms);
}
