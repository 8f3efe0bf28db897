/* SPDX-License-Identifier: ISC */
/* Runs the commands of adminsrv, by its helper. */
#include "adminsrv/server/runner.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "adminsrv/server/command.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/packet.h"
#include "base/program.h"

static const char helper[] = "admin-run";

struct runner {
	char *folder; /* of the programs */
	int fd;       /* our end of the pair; packets are sent whole */
};

extern char **environ;

struct runner *
runner_new(struct error *err)
{
	struct runner *runner = xcalloc(1, sizeof(*runner));
	char name[] = "admin-run";
	char *const argv[] = { name, NULL };
	struct program_fd given;
	OWN_TEXT path = NULL;
	int pair[2];
	pid_t pid;

	runner->fd = -1;
	runner->folder = file_program_dir();
	path = xasprintf("%s/%s", runner->folder, helper);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == -1) {
		error_sys(err, "cannot make a pair of sockets");
		runner_free(&runner);
		return NULL;
	}
	given = (struct program_fd){ .fd = pair[1], .number = RUNNER_FD };
	pid = program_start(path, argv, environ, &given, 1, err);
	close(pair[1]);
	runner->fd = pair[0];
	if (pid == -1)
		runner_free(&runner);
	return runner;
}

void
runner_free(struct runner **runner)
{
	if (*runner == NULL)
		return;
	if ((*runner)->fd != -1)
		close((*runner)->fd);
	free((*runner)->folder);
	free(*runner);
	*runner = NULL;
}

int
runner_fd(const struct runner *runner)
{
	return runner->fd;
}

char *
runner_path(const struct runner *runner, int number)
{
	return xasprintf("%s/%s", runner->folder, command_at(number)->name);
}

bool
runner_has(const struct runner *runner, int number)
{
	OWN_TEXT path = runner_path(runner, number);

	return access(path, X_OK) == 0;
}

static int
pass_socket(int control_fd, char message, int fd)
{
	int result = packet_send(control_fd, &message, 1, fd, 0);

	close(fd);
	return result;
}

static int
send_words(int control_fd, int number, char *const *argv, struct error *err)
{
	AUTO(buf_release) struct buf packet = BUF_INIT;

	buf_addc(&packet, RUNNER_RUN);
	buf_addc(&packet, (char)number);
	for (argv++; *argv != NULL; argv++)
		buf_add(&packet, *argv, strlen(*argv) + 1);
	if (packet.length > RUNNER_WORDS_MAX)
		return error_set(err, "the arguments are longer than %d bytes",
		    RUNNER_WORDS_MAX);
	return packet_send(control_fd, packet.data, packet.length, -1, 0) == -1
	    ? error_sys(err, "cannot ask %s", helper)
	    : 0;
}

/* A socket of which the other end goes to the helper.  -1 with errno. */
static int
give_end(int control_fd, char message)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == -1)
		return -1;
	if (pass_socket(control_fd, message, pair[1]) == 0)
		return pair[0];
	close(pair[0]);
	return -1;
}

int
runner_start(struct runner *runner, int number, char *const *argv,
    bool has_errors, struct run *run_out, struct error *err)
{
	int pair[2];

	*run_out = (struct run){ .control_fd = -1, .io_fd = -1, .errors_fd = -1 };
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == -1)
		return error_sys(err, "cannot make a pair of sockets");
	run_out->control_fd = pair[0];
	if (pass_socket(runner->fd, RUNNER_RUN, pair[1]) == -1 ||
	    (run_out->io_fd = give_end(pair[0], RUNNER_INPUT)) == -1 ||
	    (has_errors &&
		(run_out->errors_fd = give_end(pair[0], RUNNER_ERRORS)) ==
		    -1)) {
		error_sys(err, "cannot ask %s", helper);
		runner_end(run_out);
		return -1;
	}
	if (send_words(pair[0], number, argv, err) == 0)
		return 0;
	runner_end(run_out);
	return -1;
}

int
runner_exit_code(const struct run *run, struct error *err)
{
	char packet[1 + sizeof(int32_t)];
	int32_t code;
	int passed_fd;
	ssize_t n = packet_receive(
	    run->control_fd, packet, sizeof(packet), &passed_fd, 0);

	file_close(&passed_fd);
	if (n != (ssize_t)sizeof(packet) || packet[0] != RUNNER_ENDED)
		return error_set(err, "%s has not run it", helper);
	memcpy(&code, packet + 1, sizeof(code));
	return code;
}

void
runner_end(struct run *run)
{
	file_close(&run->control_fd);
	file_close(&run->io_fd);
	file_close(&run->errors_fd);
}

/* -- one that is waited for */

struct collect {
	const struct run_request *request;
	struct run run;
	const char *input;
	size_t input_left;
	struct buf *output, *errors;
	size_t taken;
};

/* What there is, without waiting; false: nothing more, or too much. */
static bool
take_output(struct collect *collect, int *fd, struct buf *into)
{
	char data[16384];
	ssize_t n = recv(*fd, data, sizeof(data), MSG_DONTWAIT);

	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0) {
		file_close(fd);
		return false;
	}
	collect->taken += (size_t)n;
	buf_add(into, data, (size_t)n);
	return collect->taken <= collect->request->output_max;
}

static void
give_input(struct collect *collect)
{
	ssize_t n = send(collect->run.io_fd, collect->input,
	    collect->input_left, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n > 0) {
		collect->input += n;
		collect->input_left -= (size_t)n;
	} else if (errno != EAGAIN && errno != EINTR)
		collect->input_left = 0; /* it does not read */
	if (collect->input_left == 0)
		shutdown(collect->run.io_fd, SHUT_WR);
}

static int
collect_all(struct collect *collect, struct error *err)
{
	int64_t deadline_ms = clock_ms() + collect->request->timeout_ms;
	struct run *run = &collect->run;

	for (;;) {
		struct pollfd polled[3] = {
			{ .fd = run->control_fd, .events = POLLIN },
			{ .fd = run->io_fd,
			    .events = POLLIN |
				(collect->input_left > 0 ? POLLOUT : 0) },
			{ .fd = run->errors_fd, .events = POLLIN },
		};
		int64_t left_ms = deadline_ms - clock_ms();

		if (left_ms <= 0 || collect->taken > collect->request->output_max)
			return error_set(err, left_ms <= 0
				? "it took longer than %d s, and was ended"
				: "it said more than %d bytes, and was ended",
			    left_ms <= 0
				? collect->request->timeout_ms / 1000
				: (int)collect->request->output_max);
		if (poll(polled, 3, (int)left_ms) <= 0)
			continue;
		if ((polled[1].revents & POLLOUT) != 0)
			give_input(collect);
		while (run->io_fd != -1 &&
		    take_output(collect, &run->io_fd, collect->output))
			continue;
		while (run->errors_fd != -1 &&
		    take_output(collect, &run->errors_fd, collect->errors))
			continue;
		/* Looked at before: all that it said came before its end. */
		if (polled[0].revents != 0)
			return runner_exit_code(run, err);
	}
}

int
runner_collect(struct runner *runner, const struct run_request *request,
    struct buf *output, struct buf *errors, struct error *err)
{
	struct collect collect = { .request = request,
		.input = request->input,
		.input_left = request->input == NULL ? 0
						     : strlen(request->input),
		.output = output,
		.errors = errors };
	int result = runner_start(
	    runner, request->number, request->argv, true, &collect.run, err);

	if (result == -1)
		return -1;
	if (collect.input_left == 0)
		shutdown(collect.run.io_fd, SHUT_WR);
	result = collect_all(&collect, err);
	runner_end(&collect.run);
	return result;
}
