/* SPDX-License-Identifier: ISC */
/* The sink that is a program with qmail-queue's interface. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "queue/exitcode.h"
#include "queue/sink_private.h"

enum {
	ERROR_FD = 4,       /* the program's ERROR_FD: text for code 88 */
	FIRST_FD = 10,      /* ours lie above those that the program gets */
	KILL_AFTER_MS = 300000
};

/* A pipe whose ends are close-on-exec and above the program's numbers. */
static int
make_pipe(int ends[2])
{
	int low[2], i;

	if (pipe2(low, O_CLOEXEC) == -1)
		return -1;
	for (i = 0; i < 2; i++) {
		ends[i] = fcntl(low[i], F_DUPFD_CLOEXEC, FIRST_FD);
		close(low[i]);
	}
	return ends[0] == -1 || ends[1] == -1 ? -1 : 0;
}

static void
close_fd(int *fd)
{
	if (*fd != -1)
		close(*fd);
	*fd = -1;
}

/* The session's variables, and where the program may explain itself. */
static char **
make_environment(const struct vars *vars)
{
	char **environment = vars_make_environment(vars);
	size_t count = 0;

	while (environment[count] != NULL)
		count++;
	environment = xrealloc(environment,
	    (count + 2) * sizeof(*environment));
	environment[count] = xasprintf("ERROR_FD=%d", ERROR_FD);
	environment[count + 1] = NULL;
	return environment;
}

/* Starts the program with the reading ends of its pipes.  0 or an errno. */
static int
spawn(struct sink *sink, const char *program, int message, int envelope,
    int error)
{
	char *argv[] = { xstrdup(program), NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	char **environment;
	sigset_t none, pipes;
	int status;

	sigemptyset(&none);
	sigemptyset(&pipes);
	sigaddset(&pipes, SIGPIPE);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes,
	    POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &pipes);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, message, 0);
	posix_spawn_file_actions_adddup2(&actions, envelope, 1);
	posix_spawn_file_actions_adddup2(&actions, error, ERROR_FD);
	environment = make_environment(sink->vars);
	status = posix_spawn(&sink->pid, program, &actions, &attributes, argv,
	    environment);
	vars_free_environment(environment);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	free(argv[0]);
	return status;
}

int
sink_program_open(struct sink *sink, const char *program)
{
	int message[2] = { -1, -1 }, envelope[2] = { -1, -1 };
	int error[2] = { -1, -1 };
	int result = QQ_PIPE, i;

	if (make_pipe(message) == -1 || make_pipe(envelope) == -1 ||
	    make_pipe(error) == -1)
		error_sys(&sink->err, "cannot make pipes for '%s'", program);
	else {
		errno = spawn(sink, program, message[0], envelope[0],
		    error[1]);
		result = errno == 0 ? QQ_OK : QQ_EXEC;
		if (errno != 0)
			error_sys(&sink->err, "cannot run QMAILQUEUE '%s'",
			    program);
	}
	if (result == QQ_OK) {
		sink->message_fd = message[1];
		sink->envelope_fd = envelope[1];
		sink->error_fd = error[0];
		message[1] = envelope[1] = error[0] = -1;
		fcntl(sink->message_fd, F_SETFL, O_NONBLOCK);
	}
	for (i = 0; i < 2; i++) {
		close_fd(&message[i]);
		close_fd(&envelope[i]);
		close_fd(&error[i]);
	}
	return result;
}

/* Reads what the program wrote for code 88: until it ends, or is killed. */
static void
read_custom(struct sink *sink, char *custom_out, size_t size)
{
	int64_t end = clock_ms() + KILL_AFTER_MS;
	size_t used = 0;

	for (;;) {
		struct pollfd in = { .fd = sink->error_fd, .events = POLLIN };
		char rest[256], *at = rest;
		size_t room = sizeof(rest);
		int64_t left = end - clock_ms();
		ssize_t n;

		if (left <= 0 || poll(&in, 1, (int)left) == 0) {
			kill(sink->pid, SIGKILL);
			sink_fail(sink, QQ_TIMEOUT);
			break;
		}
		if (used + 1 < size) {
			at = custom_out + used;
			room = size - used - 1;
		}
		n = read(sink->error_fd, at, room);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		if (at != rest)
			used += (size_t)n;
	}
	custom_out[used] = '\0';
}

static int
wait_exit(struct sink *sink)
{
	int status;
	pid_t pid;

	do
		pid = waitpid(sink->pid, &status, 0);
	while (pid == -1 && errno == EINTR);
	sink->pid = 0;
	if (pid == -1)
		return QQ_WAIT;
	return WIFEXITED(status) ? WEXITSTATUS(status) : QQ_CRASHED;
}

static int
write_envelope(struct sink *sink, const struct sink_envelope *envelope)
{
	struct sink_envelope plain = *envelope;
	struct buf record = BUF_INIT;
	int result;

	plain.extra_header = ""; /* a program knows F and T only */
	sink_format_envelope(sink, &plain, &record);
	buf_addc(&record, '\0');
	result = file_write_all(sink->envelope_fd, record.data,
	    record.length);
	buf_release(&record);
	return result;
}

int
sink_program_commit(struct sink *sink, const struct sink_envelope *envelope,
    char *custom_out, size_t size)
{
	char text[256] = "";
	int code;

	/* After a failure it sees no end of the envelope and must not queue. */
	close_fd(&sink->message_fd);
	if (sink->result == QQ_OK &&
	    write_envelope(sink, envelope) == -1 && errno != EPIPE)
		sink_fail(sink, QQ_WRITE_ERROR);
	close_fd(&sink->envelope_fd);
	read_custom(sink, text, sizeof(text));
	close_fd(&sink->error_fd);
	code = wait_exit(sink);
	if (sink->result != QQ_OK)
		return sink->result;
	if (code != QQ_CUSTOM)
		return code;
	/* "Dtext" is permanent, "Ztext" temporary; else it is a bug of it. */
	if (text[0] != 'D' && text[0] != 'Z')
		return QQ_BUG;
	snprintf(custom_out, size, "%.*s",
	    (int)strcspn(text + 1, "\r\n"), text + 1);
	return text[0] == 'D' ? QQ_REJECTED : QQ_CUSTOM;
}

void
sink_program_abort(struct sink *sink)
{
	close_fd(&sink->message_fd);
	close_fd(&sink->envelope_fd);
	close_fd(&sink->error_fd);
	if (sink->pid > 0) {
		kill(sink->pid, SIGTERM);
		wait_exit(sink);
	}
}
