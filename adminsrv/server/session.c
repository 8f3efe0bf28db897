/* SPDX-License-Identifier: ISC */
/* One session of the line protocol. */
#include "adminsrv/server/session.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "adminsrv/server/words.h"
#include "base/clock.h"
#include "base/listener_daemon.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/scan.h"
#include "base/test_time.h"

enum {
	LOGIN_MS = 60 * 1000,  /* for the whole login */
	OUTPUT_MS = 300 * 1000, /* for the peer to take some */
	OUTPUT_MAX = 64 * 1024 * 1024,
	CHUNK_BYTES = 16 * 1024,
	NOT_ALLOWED = 1,  /* what permission denied ends with */
	OUR_TROUBLE = 111
};

static void
say(struct stream *stream, const char *text)
{
	stream_write(stream, text, strlen(text));
}

/*
 * A line without its end; false: the peer went, took too long, said too much,
 * or a NUL.
 */
static bool
read_admin_line(struct stream *stream, size_t max, char *line_out)
{
	const char *line;
	size_t length;

	if (stream_read_line(stream, max, &line, &length) != STREAM_OK)
		return false;
	length--;
	if (length > 0 && line[length - 1] == '\r')
		length--;
	if (memchr(line, '\0', length) != NULL)
		return false;
	memcpy(line_out, line, length);
	line_out[length] = '\0';
	return true;
}

static bool
ask(struct stream *stream, const char *question, size_t max, char *answer_out)
{
	say(stream, question);
	return stream_flush(stream) == STREAM_OK &&
	    read_admin_line(stream, max, answer_out);
}

static bool
log_in(struct admin_server *server, struct stream *stream,
    const char *remote_ip, struct admin_session *session_out)
{
	char name[ADMIN_NAME_MAX + 3], password[ADMIN_PASSWORD_MAX + 3];
	enum admin_login result;
	struct error err;

	if (!ask(stream, "Login: ", ADMIN_NAME_MAX + 2, name) ||
	    !ask(stream, "Password: ", ADMIN_PASSWORD_MAX + 2, password)) {
		say(stream, "indisrvr: incomplete line\n");
		return false;
	}
	result = admin_server_login(
	    server, name, password, remote_ip, session_out, &err);
	explicit_bzero(password, sizeof(password));
	switch (result) {
	case ADMIN_LOGIN_OK:
		say(stream, "OK\n");
		log_line("%s: %d: user %s logged in", admin_program,
		    listener_daemon_id(), name);
		break;
	case ADMIN_LOGIN_REFUSED:
		say(stream, "indisrvr: Password incorrect\n");
		break;
	case ADMIN_LOGIN_UNKNOWN:
		log_line("%s: %d: user %s: cannot tell who that is: %s",
		    admin_program, listener_daemon_id(), name, err.text);
		say(stream, "temporary authentication error\n");
		break;
	}
	return result == ADMIN_LOGIN_OK && stream_flush(stream) == STREAM_OK;
}

/* -- the command line */

static int
refuse_syntax(const char *line, struct error *err)
{
	return error_set(err, "indisrvr: incorrect syntax [%.200s]%zu", line,
	    strlen(line));
}

int
admin_parse_command(const char *line, size_t length, struct strlist *words_out,
    struct error *err)
{
	size_t digits = strspn(line, "0123456789");
	const struct command *command;
	const char *name, *slash;
	uint64_t number;

	/* What has a NUL would end elsewhere for who reads a string. */
	if (strlen(line) != length || line[digits] != ' ' ||
	    !scan_u64n(line, digits, COMMAND_COUNT - 1, &number) ||
	    words_split(line + digits, words_out, NULL) == -1 ||
	    words_out->count == 0)
		return refuse_syntax(line, err);
	command = command_at((long)number);
	slash = strrchr(words_out->items[0], '/');
	name = slash == NULL ? words_out->items[0] : slash + 1;
	if (strcmp(name, command->name) != 0)
		return error_set(err, "indisrvr: command mismatch [%.64s]%zu "
				      "[%s]%zu",
		    name, strlen(name), command->name, strlen(command->name));
	return (int)number;
}

/* -- the command */

struct pump {
	struct stream *stream;
	int fd;
	struct run *run;
	size_t said;
	bool has_blank;   /* the line behind the command has been read */
	bool peer_ended;  /* says no more */
	bool peer_gone;   /* takes nothing any more */
};

/* What the peer says goes to the program, but for the first line. */
static void
pump_input(struct pump *pump)
{
	const char *data, *end;
	size_t length;
	ssize_t n;

	if (stream_peek(pump->stream, &data, &length) != STREAM_OK) {
		pump->peer_ended = true;
		shutdown(pump->run->io_fd, SHUT_WR);
		return;
	}
	if (!pump->has_blank) {
		end = memchr(data, '\n', length);
		pump->has_blank = end != NULL;
		stream_consume(pump->stream,
		    end == NULL ? length : (size_t)(end - data) + 1);
		return;
	}
	n = send(pump->run->io_fd, data, length, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n > 0)
		stream_consume(pump->stream, (size_t)n);
	else if (errno != EAGAIN && errno != EINTR)
		stream_consume(pump->stream, length); /* it does not read */
}

/* What there is, without waiting for more; false: nothing, or too much. */
static bool
pump_output(struct pump *pump)
{
	char data[CHUNK_BYTES];
	ssize_t n = recv(pump->run->io_fd, data, sizeof(data), MSG_DONTWAIT);

	if (n <= 0)
		return false;
	pump->said += (size_t)n;
	if (!pump->peer_gone) {
		stream_write(pump->stream, data, (size_t)n);
		pump->peer_gone = stream_flush(pump->stream) != STREAM_OK;
	}
	return pump->said <= OUTPUT_MAX;
}

/*
 * Until the program has ended: its exit code, or -1 when it was too much.  It
 * goes on when the peer has gone: nothing is left half done for that.
 */
static int
pump_run(struct pump *pump, int timeout_ms, struct error *err)
{
	int64_t deadline_ms = clock_ms() + timeout_ms;

	for (;;) {
		bool is_open = !pump->peer_ended && !pump->peer_gone;
		bool has_input = is_open && stream_has_input(pump->stream);
		struct pollfd polled[3] = {
			{ .fd = pump->run->control_fd, .events = POLLIN },
			{ .fd = pump->run->io_fd,
			    .events = POLLIN | (has_input && pump->has_blank
				    ? POLLOUT
				    : 0) },
			{ .fd = is_open && !has_input ? pump->fd : -1,
			    .events = POLLIN },
		};
		int64_t left_ms = deadline_ms - clock_ms();

		if (left_ms <= 0)
			return error_set(err,
			    "it took longer than %d s, and was ended",
			    timeout_ms / 1000);
		if (pump->said > OUTPUT_MAX)
			return error_set(err,
			    "it said more than %d bytes, and was ended",
			    OUTPUT_MAX);
		if (has_input && !pump->has_blank) {
			pump_input(pump);
			continue;
		}
		if (poll(polled, 3, (int)left_ms) <= 0)
			continue;
		if ((polled[1].revents & (POLLIN | POLLHUP | POLLERR)) != 0)
			while (pump_output(pump))
				continue;
		if (polled[2].revents != 0 ||
		    (polled[1].revents & POLLOUT) != 0)
			pump_input(pump);
		if (polled[0].revents == 0)
			continue;
		while (pump_output(pump))
			continue;
		return runner_exit_code(pump->run, err);
	}
}

/* Its exit code. */
static int
run_command(struct admin_server *server, struct stream *stream, int fd,
    struct admin_order *order)
{
	struct admin_config *config = admin_server_config(server);
	struct run run;
	struct pump pump = { .stream = stream, .fd = fd, .run = &run };
	struct error err;
	int code = runner_start(server->runner, order->number, order->argv,
	    false, &run, &err);

	if (code == 0) {
		code = pump_run(&pump,
		    (int)test_time_ms("ADMIN_RUN_MS", config->timeout_ms),
		    &err);
		runner_end(&run);
	}
	admin_config_release(&config);
	admin_server_done(server, order, code);
	if (code != -1)
		return code;
	say(stream, "indisrvr: ");
	say(stream, err.text);
	say(stream, "\n");
	return OUR_TROUBLE;
}

/* In the words of the protocol. */
static void
say_denied(struct admin_server *server, struct stream *stream,
    const struct admin_order *order)
{
	AUTO(buf_release) struct buf line = BUF_INIT;
	OWN_TEXT path = runner_path(server->runner, order->number);
	OWN_TEXT text = NULL;

	buf_init(&line);
	command_mask(command_at(order->number), order->argv, &line);
	text = xasprintf("%s: %s args [%s]: permission denied\n",
	    order->session->admin.name, path, line.data);
	say(stream, text);
}

static int
order_command(struct admin_server *server, struct stream *stream, int fd,
    struct admin_order *order)
{
	struct error err;

	switch (admin_server_admit(server, order, &err)) {
	case ADMIN_ADMITTED:
		break;
	case ADMIN_ABSENT:
	case ADMIN_DENIED:
		say_denied(server, stream, order);
		return NOT_ALLOWED;
	case ADMIN_UNCHANGING:
		say(stream, "indisrvr: ");
		say(stream, err.text);
		say(stream, "\n");
		return OUR_TROUBLE;
	}
	if (order->session->age_ms > 0) {
		OWN_TEXT text = xasprintf("indisrvr: the database is away; "
					  "rights are those of %lld s ago\n",
		    (long long)(order->session->age_ms / 1000));

		say(stream, text);
		stream_flush(stream);
	}
	return run_command(server, stream, fd, order);
}

static void
serve_command(struct admin_server *server, struct stream *stream, int fd,
    const struct admin_session *session)
{
	AUTO(strlist_release) struct strlist words = { .count = 0 };
	struct admin_order order = { .session = session };
	const char *line;
	OWN_TEXT copy = NULL;
	OWN_TEXT marker = NULL;
	size_t length;
	struct error err;

	if (stream_read_line(stream, ADMIN_LINE_MAX, &line, &length) !=
	    STREAM_OK) {
		say(stream, "indisrvr: incomplete line\n");
		return;
	}
	length--;
	if (length > 0 && line[length - 1] == '\r')
		length--;
	copy = xstrndup(line, length);
	order.number = admin_parse_command(copy, length, &words, &err);
	if (order.number == -1) {
		say(stream, err.text);
		say(stream, "\n");
		log_line("%s: %d: user %s: not a command line", admin_program,
		    listener_daemon_id(), session->admin.name);
		return;
	}
	order.argv = words.items;
	stream_set_limit(stream, 0);
	stream_set_timeout(stream, OUTPUT_MS);
	marker = xasprintf("RETURNSTATUS%d",
	    order_command(server, stream, fd, &order));
	/* The marker begins a write: clients look there. */
	stream_flush(stream);
	say(stream, marker);
	explicit_bzero(copy, strlen(copy));
}

void
admin_session_run(struct admin_server *server, struct stream *stream, int fd,
    const char *remote_ip)
{
	struct admin_session session;

	stream_set_timeout(stream, LOGIN_MS);
	stream_set_limit(
	    stream, clock_ms() + test_time_ms("ADMIN_LOGIN_MS", LOGIN_MS));
	if (log_in(server, stream, remote_ip, &session)) {
		serve_command(server, stream, fd, &session);
		admin_release(&session.admin);
	}
	stream_flush(stream);
}
