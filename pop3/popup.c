/* SPDX-License-Identifier: ISC */
/* qmail-popup: lets users in by a checkpassword program. */
#include "pop3/popup.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "auth/checkpassword.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "pop3/session_private.h"

enum {
	CHECK_MS = 60 * 1000, /* for the password */
	END_MS = 10 * 1000,   /* for the program, when all is said */
	RELAY_BYTES = 16 * 1024
};

/* What the program has said, to the client.  False: it says no more. */
static bool
pass_down(struct pop3_session *session, int fd)
{
	char data[RELAY_BYTES];
	ssize_t n = read(fd, data, sizeof(data));

	if (n == -1 && errno == EINTR)
		return true;
	if (n <= 0)
		return false;
	stream_write(session->stream, data, (size_t)n);
	return stream_flush(session->stream) == STREAM_OK;
}

/* What the client has said, as much as the program takes without waiting. */
static bool
pass_up(struct pop3_session *session, int fd)
{
	const char *data;
	size_t length;
	ssize_t n;

	if (stream_peek(session->stream, &data, &length) != STREAM_OK)
		return false;
	n = send(fd, data, length, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n > 0)
		stream_consume(session->stream, (size_t)n);
	return n > 0 || errno == EAGAIN || errno == EINTR;
}

/* Until one of them has ended. */
static void
relay(struct pop3_session *session, int fd)
{
	for (;;) {
		bool has_input = stream_has_input(session->stream);
		struct pollfd polled[2] = {
			{ .fd = fd,
			    .events = POLLIN | (has_input ? POLLOUT : 0) },
			{ .fd = has_input ? -1 : session->presence.fd,
			    .events = POLLIN },
		};
		int n = poll(polled, 2, session->config->timeout_ms);

		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		if ((polled[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0 &&
		    !pass_down(session, fd))
			return;
		if (((polled[0].revents & POLLOUT) != 0 ||
			polled[1].revents != 0) &&
		    !pass_up(session, fd)) {
			/* Nothing more comes: what is said to that goes out. */
			shutdown(fd, SHUT_WR);
			while (clock_wait_fd(fd, POLLIN, clock_ms() + END_MS) ==
				1 &&
			    pass_down(session, fd))
				continue;
			return;
		}
	}
}

static void
say_program_result(
    struct pop3_session *session, int result, const struct error *err)
{
	if (result == 0)
		pop3_error(session, "[AUTH] authorization failed");
	else {
		pop3_log(session, "%s", err->text);
		pop3_error(session,
		    "[SYS/TEMP] logins cannot be checked now, try again later");
	}
	if (++session->refusals >= POP3_REFUSALS_MAX)
		session->is_over = true;
}

/* The program runs: does it speak, or end without a word? */
static void
follow(struct pop3_session *session, const char *program, pid_t pid, int fd)
{
	int status = 0, result;
	struct error err;
	char byte;
	ssize_t n = -1;

	if (clock_wait_fd(fd, POLLIN, clock_ms() + CHECK_MS) == 1)
		n = recv(fd, &byte, 1, MSG_PEEK);
	if (n == 1) {
		session->is_over = true;
		relay(session, fd);
	}
	shutdown(fd, SHUT_RDWR);
	if (n == -1 || program_wait(pid, END_MS, &status) != 1) {
		program_stop(pid, END_MS);
		error_set(&err, "'%s' had to be ended", program);
		result = -1;
	} else if ((result = checkpassword_judge(program, status, &err)) == 1)
		result = error_set(&err, "'%s' said nothing", program);
	if (n != 1)
		say_program_result(session, result, &err);
}

void
pop3_let_in_program(struct pop3_session *session, const char *name,
    const char *secret, const char *timestamp)
{
	char *const *argv = session->options->context;
	const struct checkpassword_proof proof = { name, secret,
		*timestamp != '\0' ? timestamp : session->timestamp };
	AUTO(vars_release) struct vars vars = VARS_INIT;
	AUTO(file_close) int own = -1;
	AUTO(file_close) int other = -1;
	struct program_fd fds[2];
	struct error err;
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == -1) {
		error_sys(&err, "cannot make a socket");
		say_program_result(session, -1, &err);
		return;
	}
	own = pair[0];
	other = pair[1];
	fds[0] = (struct program_fd){ .fd = other, .number = 0 };
	fds[1] = (struct program_fd){ .fd = other, .number = 1 };
	vars_set(&vars, "SERVICE", "pop3");
	pid = checkpassword_start(argv, &vars, &proof, fds, 2, &err);
	if (pid <= 0) {
		say_program_result(session, (int)pid, &err);
		return;
	}
	file_close(&other);
	follow(session, argv[0], pid, own);
}
