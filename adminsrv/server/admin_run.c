/* SPDX-License-Identifier: ISC */
/*
 * admin-run: the helper of adminsrv, which starts commands for it
 * (adminsrv/server/runner.h).  It trusts nothing that it is sent.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "adminsrv/server/command.h"
#include "adminsrv/server/runner.h"
#include "adminsrv/server/words.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/packet.h"
#include "base/program.h"
#include "base/usage.h"
#include "base/worker_pool.h"

enum {
	RUNS_MAX = 200,
	IDLE_RUNS = 8,
	STACK_BYTES = 256 * 1024,
	ASK_MS = 10 * 1000,        /* for the words to come */
	RUN_MS = 4 * 3600 * 1000,  /* whatever adminsrv says */
	WAIT_MS = 1000,
	GRACE_MS = 5000
};

extern char **environ;

static char *folder;        /* of the programs */
static atomic_uint running;

struct order {
	int control_fd, io_fd, errors_fd;
	int number;
	char *argv[WORDS_MAX + 2];
	char packet[RUNNER_WORDS_MAX];
};

/* What comes is cut into words; false: it is not what adminsrv sends. */
static bool
read_words(struct order *order, size_t length)
{
	const struct command *command;
	size_t count = 1;

	if (length < 2 || (length > 2 && order->packet[length - 1] != '\0'))
		return false;
	order->number = (unsigned char)order->packet[1];
	command = command_at(order->number);
	if (command == NULL)
		return false;
	order->argv[0] = xstrdup(command->name);
	for (size_t at = 2; at < length;
	     at += strlen(order->packet + at) + 1) {
		if (count > WORDS_MAX)
			return false;
		order->argv[count++] = order->packet + at;
	}
	return true;
}

/* False: the order is no good, or nobody gives one. */
static bool
read_order(struct order *order)
{
	int64_t deadline_ms = clock_ms() + ASK_MS;
	struct error err;

	for (;;) {
		int fd = -1;
		ssize_t n;

		if (clock_wait_fd(order->control_fd, POLLIN, deadline_ms) != 1)
			return false;
		n = packet_receive(order->control_fd, order->packet,
		    sizeof(order->packet), &fd, 0);
		if (n > 0 && order->packet[0] == RUNNER_INPUT && fd != -1 &&
		    order->io_fd == -1)
			order->io_fd = fd;
		else if (n > 0 && order->packet[0] == RUNNER_ERRORS &&
		    fd != -1 && order->errors_fd == -1)
			order->errors_fd = fd;
		else {
			file_close(&fd);
			return n > 0 && order->packet[0] == RUNNER_RUN &&
			    order->io_fd != -1 &&
			    read_words(order, (size_t)n) &&
			    command_check(command_at(order->number),
				order->argv, &err) == 0;
		}
	}
}

/* Its exit code; it is ended when adminsrv has closed the socket. */
static int
wait_for_program(const struct order *order, pid_t pid)
{
	int64_t deadline_ms = clock_ms() + RUN_MS;
	struct pollfd polled = { .fd = order->control_fd, .events = 0 };
	int status;

	for (;;) {
		int ended = program_wait(pid, WAIT_MS, &status);

		if (ended == 1)
			break;
		if (ended == -1 || clock_ms() >= deadline_ms ||
		    (poll(&polled, 1, 0) == 1 &&
			(polled.revents & (POLLHUP | POLLERR)) != 0)) {
			program_stop(pid, GRACE_MS);
			return RUNNER_KILLED + SIGTERM;
		}
	}
	return WIFEXITED(status) ? WEXITSTATUS(status)
				 : RUNNER_KILLED + WTERMSIG(status);
}

static int
run_program(const struct order *order)
{
	OWN_TEXT path = xasprintf("%s/%s", folder, order->argv[0]);
	const struct program_fd fds[] = {
		{ .fd = order->io_fd, .number = 0 },
		{ .fd = order->io_fd, .number = 1 },
		{ .fd = order->errors_fd == -1 ? order->io_fd
					       : order->errors_fd,
		    .number = 2 },
	};
	struct error err;
	pid_t pid = program_start(path, order->argv, environ, fds, 3, &err);

	if (pid == -1) {
		log_line("%s", err.text);
		return 111;
	}
	return wait_for_program(order, pid);
}

static void
serve_order(void *argument)
{
	struct order *order = argument;
	char answer[1 + sizeof(int32_t)] = { RUNNER_ENDED };
	int32_t code;

	if (read_order(order)) {
		code = run_program(order);
		memcpy(answer + 1, &code, sizeof(code));
		if (packet_send(order->control_fd, answer, sizeof(answer), -1,
			MSG_DONTWAIT) == -1) {
			/* adminsrv does not want to know. */
		}
	}
	free(order->argv[0]);
	file_close(&order->io_fd);
	file_close(&order->errors_fd);
	file_close(&order->control_fd);
	explicit_bzero(order, sizeof(*order));
	free(order);
	atomic_fetch_sub(&running, 1);
}

static void
take_order(struct worker_pool *pool, int fd)
{
	struct order *order;

	if (atomic_fetch_add(&running, 1) >= RUNS_MAX) {
		atomic_fetch_sub(&running, 1);
		close(fd);
		return;
	}
	order = xcalloc(1, sizeof(*order));
	order->control_fd = fd;
	order->io_fd = order->errors_fd = -1;
	if (worker_pool_run(pool, serve_order, order) == -1) {
		close(fd);
		free(order);
		atomic_fetch_sub(&running, 1);
	}
}

int
main(int argc, char **argv)
{
	static const char usage[] = "usage: admin-run, started by adminsrv";
	struct worker_pool *pool;
	int type = 0;
	socklen_t size = sizeof(type);

	log_open("admin-run");
	usage_answer(argv, "admin-run", usage);
	if (argc > 1 ||
	    getsockopt(RUNNER_FD, SOL_SOCKET, SO_TYPE, &type, &size) == -1 ||
	    type != SOCK_SEQPACKET)
		fatal(100, "%s", usage);
	signal(SIGPIPE, SIG_IGN);
	/* With adminsrv; it ends in its own time with what it has begun. */
	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	fcntl(RUNNER_FD, F_SETFD, FD_CLOEXEC);
	umask(022);
	folder = file_program_dir();
	pool = worker_pool_new(STACK_BYTES, IDLE_RUNS);
	for (;;) {
		char packet[8];
		int fd = -1;
		ssize_t n = packet_receive(
		    RUNNER_FD, packet, sizeof(packet), &fd, 0);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == 0 || (n == -1 && errno != EMSGSIZE && errno != EBADMSG))
			break;
		if (fd != -1)
			take_order(pool, fd);
	}
	while (atomic_load(&running) > 0)
		clock_sleep_ms(100);
	return 0;
}
