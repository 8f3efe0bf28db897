/* SPDX-License-Identifier: ISC */
/* The sink that is a program with qmail-queue's interface. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/program.h"
#include "queue/dsn.h"
#include "queue/exitcode.h"
#include "queue/sink_private.h"

enum {
	ERROR_FD = 4, /* the program's ERROR_FD: text for code 88 */
	KILL_AFTER_MS = 300000,
	GRACE_MS = 1000 /* from SIGTERM to SIGKILL */
};

/* In place of one that is there. */
static char **
put_variable(char **environment, char *line)
{
	size_t length = strcspn(line, "=") + 1, at = 0;

	while (environment[at] != NULL &&
	    strncmp(environment[at], line, length) != 0)
		at++;
	if (environment[at] == NULL) {
		environment = xrealloc(
		    environment, (at + 2) * sizeof(*environment));
		environment[at + 1] = NULL;
	} else
		free(environment[at]);
	environment[at] = line;
	return environment;
}

/*
 * The session's variables, where the program may explain itself, and which
 * message it is.
 */
static char **
make_environment(const struct sink *sink)
{
	char **environment = vars_make_environment(sink->vars);
	char uuid[UUID_TEXT_SIZE];

	uuid_format(&sink->uuid, uuid);
	environment = put_variable(
	    environment, xasprintf("ERROR_FD=%d", ERROR_FD));
	return put_variable(environment, xasprintf("MQMAIL_UUID=%s", uuid));
}

/* Starts the program with the reading ends of its pipes.  0 or -1. */
static int
start(struct sink *sink, const char *program, int message, int envelope,
    int error)
{
	const struct program_fd fds[] = { { message, 0 }, { envelope, 1 },
		{ error, ERROR_FD } };
	char *argv[] = { xstrdup(program), NULL };
	char **environment = make_environment(sink);

	sink->pid = program_start(
	    program, argv, environment, fds, 3, &sink->err);
	vars_free_environment(environment);
	free(argv[0]);
	if (sink->pid != -1)
		return 0;
	sink->pid = 0;
	return error_context(&sink->err, "cannot run QMAILQUEUE");
}

int
sink_program_open(struct sink *sink, const char *program)
{
	int message[2] = { -1, -1 }, envelope[2] = { -1, -1 };
	int error[2] = { -1, -1 };
	int result = QQ_PIPE;

	if (pipe2(message, O_CLOEXEC) == -1 ||
	    pipe2(envelope, O_CLOEXEC) == -1 || pipe2(error, O_CLOEXEC) == -1)
		error_sys(&sink->err, "cannot make pipes for '%s'", program);
	else
		result = start(sink, program, message[0], envelope[0],
			     error[1]) == 0
		    ? QQ_OK
		    : QQ_EXEC;
	if (result == QQ_OK) {
		sink->message_fd = message[1];
		sink->envelope_fd = envelope[1];
		sink->error_fd = error[0];
		message[1] = envelope[1] = error[0] = -1;
		fcntl(sink->message_fd, F_SETFL, O_NONBLOCK);
		fcntl(sink->envelope_fd, F_SETFL, O_NONBLOCK);
	}
	for (int i = 0; i < 2; i++) {
		file_close(&message[i]);
		file_close(&envelope[i]);
		file_close(&error[i]);
	}
	return result;
}

/* Reads what the program wrote for code 88: until it ends, or is too late. */
static void
read_custom(
    struct sink *sink, int64_t deadline_ms, char *custom_out, size_t size)
{
	size_t used = 0;

	for (;;) {
		char rest[256], *at = rest;
		size_t room = sizeof(rest);
		ssize_t n;

		if (clock_wait_fd(sink->error_fd, POLLIN, deadline_ms) == 0)
			break;
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

/* Its exit code; one that is too late is ended with all it has started. */
static int
wait_exit(struct sink *sink, int64_t deadline_ms)
{
	int64_t left = deadline_ms - clock_ms();
	int status;
	int result = program_wait(sink->pid, left > 0 ? (int)left : 0, &status);

	if (result == 0) {
		program_stop(sink->pid, GRACE_MS);
		sink_fail(sink, QQ_TIMEOUT);
	}
	sink->pid = 0;
	if (result != 1)
		return QQ_WAIT;
	return WIFEXITED(status) ? WEXITSTATUS(status) : QQ_CRASHED;
}

static void
write_envelope(struct sink *sink, const struct sink_envelope *envelope)
{
	struct sink_envelope plain = *envelope;
	AUTO(buf_release) struct buf record = BUF_INIT;

	plain.extra_header = ""; /* a program knows F and T only */
	plain.dsn = NULL;
	plain.recipient_dsn = NULL;
	sink_format_envelope(sink, &plain, &record);
	buf_addc(&record, '\0');
	sink_write_fd(sink, sink->envelope_fd, &record);
}

int
sink_program_verdict(int code, const char *text, char *custom_out, size_t size)
{
	if (code != QQ_CUSTOM)
		return code;
	/* "Dtext" is permanent, "Ztext" temporary; else it is a bug of it. */
	if (text[0] != 'D' && text[0] != 'Z')
		return QQ_BUG;
	snprintf(
	    custom_out, size, "%.*s", (int)strcspn(text + 1, "\r\n"), text + 1);
	return text[0] == 'D' ? QQ_REJECTED : QQ_CUSTOM;
}

/* Until a time that is not over yet? */
static bool
is_to_be_held(const struct sink_envelope *envelope)
{
	struct dsn_message dsn;

	return envelope->dsn != NULL &&
	    dsn_get_message(envelope->dsn, &dsn) && dsn.hold_until > time(NULL);
}

int
sink_program_commit(struct sink *sink, const struct sink_envelope *envelope,
    char *custom_out, size_t size)
{
	int64_t deadline_ms = clock_ms() + KILL_AFTER_MS;
	char text[256] = "";
	int code;

	/* After a failure it sees no end of the envelope and must not queue. */
	file_close(&sink->message_fd);
	/* The program would have it sent now: who offered a hold could not
	 * know that a rule for a recipient names one. */
	if (sink->result == QQ_OK && is_to_be_held(envelope)) {
		snprintf(custom_out, size,
		    "mail for this recipient cannot be held (#5.3.3)");
		sink->result = QQ_REJECTED;
	}
	if (sink->result == QQ_OK)
		write_envelope(sink, envelope);
	file_close(&sink->envelope_fd);
	read_custom(sink, deadline_ms, text, sizeof(text));
	file_close(&sink->error_fd);
	code = wait_exit(sink, deadline_ms);
	if (sink->result != QQ_OK)
		return sink->result;
	/* As in qmail: nothing is queued that was not read. */
	if (code == QQ_OK && sink->is_unread) {
		error_set(&sink->err,
		    "the QMAILQUEUE program exited with 0 "
		    "before it had read the message and its envelope");
		return QQ_WRITE_ERROR;
	}
	return sink_program_verdict(code, text, custom_out, size);
}

void
sink_program_abort(struct sink *sink)
{
	file_close(&sink->message_fd);
	file_close(&sink->envelope_fd);
	file_close(&sink->error_fd);
	if (sink->pid > 0) {
		program_stop(sink->pid, GRACE_MS);
		sink->pid = 0;
	}
}
