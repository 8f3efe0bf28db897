/* SPDX-License-Identifier: ISC */
/* adminclient: has a command run by a node's adminsrv. */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "adminsrv/cli.h"
#include "adminsrv/server/command.h"
#include "adminsrv/server/words.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/scan.h"
#include "base/stream.h"

static const char usage[] =
    "usage: adminclient [-ikmv] [-h host] [-p port] [-u user] [-P password]\n"
    "                   [-n certificate] [-C authorities] -c command\n";

static const char marker[] = "RETURNSTATUS";

enum {
	LOST = 111,
	TAIL_MAX = sizeof(marker) - 1 + 11, /* and a number */
	COPY_BYTES = 16 * 1024,
	ANSWER_MAX = 4096,
	TIMEOUT_MAX = 1000000
};

struct client {
	const char *host, *port, *user;
	char *password;
	const char *certificate, *authorities;
	const char *command;
	bool copies_input, is_unchecked, is_verbose;
	int connect_ms, answer_ms, run_ms;
	/* the connection */
	int fd;
	struct tls_context *context;
	struct stream *stream;
	/* what may be the marker, not yet on standard output */
	struct buf tail;
};

static const char *
variable(const char *name, const char *standard)
{
	const char *value = getenv(name);

	return value != NULL && *value != '\0' ? value : standard;
}

static int
variable_ms(const char *name, const char *standard)
{
	const char *text = variable(name, standard);
	uint64_t seconds;

	if (!scan_u64(text, TIMEOUT_MAX, &seconds) || seconds == 0)
		fatal(100, "variable %s: '%s' is no number of seconds", name,
		    text);
	return (int)seconds * 1000;
}

/* -- the connection */

static int
connect_within(
    const struct addrinfo *address, int timeout_ms, struct error *err)
{
	int fd = socket(address->ai_family,
	    address->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    address->ai_protocol);
	int result = 0;
	socklen_t size = sizeof(result);

	if (fd == -1)
		return error_sys(err, "cannot make a socket");
	if (connect(fd, address->ai_addr, address->ai_addrlen) == -1 &&
	    errno != EINPROGRESS)
		result = errno;
	else if (clock_wait_fd(fd, POLLOUT, clock_ms() + timeout_ms) != 1)
		result = ETIMEDOUT;
	else
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &result, &size);
	if (result == 0 &&
	    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK) == 0)
		return fd;
	close(fd);
	errno = result;
	return error_sys(err, "cannot connect");
}

static int
connect_any(struct client *client, struct error *err)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *found = NULL;
	int code = getaddrinfo(client->host, client->port, &hints, &found);

	if (code != 0)
		return error_set(
		    err, "host '%s': %s", client->host, gai_strerror(code));
	client->fd = -1;
	for (const struct addrinfo *each = found;
	     each != NULL && client->fd == -1; each = each->ai_next)
		client->fd = connect_within(each, client->connect_ms, err);
	freeaddrinfo(found);
	return client->fd == -1
	    ? error_context(err, "%s port %s", client->host, client->port)
	    : 0;
}

static int
start_client_tls(struct client *client, struct error *err)
{
	const struct tls_peer peer = { .host = client->host,
		.is_verified = !client->is_unchecked };

	client->context = tls_client_context_new(err);
	if (client->context == NULL)
		return -1;
	if (!client->is_unchecked &&
	    (client->authorities != NULL
		    ? tls_context_trust_file(
			  client->context, client->authorities, err)
		    : tls_context_trust_system(client->context, err)) == -1)
		return -1;
	if (client->certificate != NULL &&
	    tls_context_set_certificate(
		client->context, client->certificate, err) == -1)
		return -1;
	client->stream = stream_new(client->fd, client->fd);
	return stream_start_tls_with(client->stream, client->context, &peer,
		   client->connect_ms, err) == STREAM_OK
	    ? 0
	    : error_context(err, "%s port %s", client->host, client->port);
}

/* -- the dialogue */

/*
 * Reads until what has come ends in wanted; else it is what the server says
 * instead.
 */
static int
expect(struct client *client, const char *wanted, struct error *err)
{
	AUTO(buf_release) struct buf said = BUF_INIT;
	size_t length = strlen(wanted), n;
	const char *data;

	while (said.length < ANSWER_MAX &&
	    stream_peek(client->stream, &data, &n) == STREAM_OK) {
		buf_add(&said, data, n);
		stream_consume(client->stream, n);
		if (said.length >= length &&
		    memcmp(said.data + said.length - length, wanted, length) ==
			0)
			return 0;
	}
	if (said.length == 0)
		return error_set(err, "the server ended the connection");
	said.data[strcspn(said.data, "\r\n")] = '\0';
	return error_set(err, "the server said: %s", said.data);
}

static void
send_line(struct client *client, const char *line)
{
	stream_write(client->stream, line, strlen(line));
	stream_write(client->stream, "\n", 1);
	if (client->is_verbose)
		log_line("sent a line");
}

static int
start_command(struct client *client, int number, struct error *err)
{
	OWN_TEXT line = xasprintf("%d %s\n", number, client->command);

	stream_set_timeout(client->stream, client->answer_ms);
	if (expect(client, "Login: ", err) == -1)
		return -1;
	send_line(client, client->user);
	if (expect(client, "Password: ", err) == -1)
		return -1;
	send_line(client, client->password);
	explicit_bzero(client->password, strlen(client->password));
	if (expect(client, "OK\n", err) == -1)
		return -1;
	send_line(client, line);
	explicit_bzero(line, strlen(line));
	if ((client->copies_input ? stream_flush(client->stream)
				  : stream_end_output(client->stream)) !=
	    STREAM_OK)
		return error_set(err, "the connection is lost");
	return 0;
}

static int
put_output(const char *data, size_t length, struct error *err)
{
	return file_write_all(STDOUT_FILENO, data, length) == -1
	    ? error_sys(err, "cannot write to standard output")
	    : 0;
}

/* Output, but for what may be the marker.  1; 0 it has ended; -1. */
static int
take_more(struct client *client, struct error *err)
{
	struct buf *tail = &client->tail;
	const char *data;
	size_t length, sure;

	if (stream_peek(client->stream, &data, &length) != STREAM_OK)
		return 0;
	buf_add(tail, data, length);
	stream_consume(client->stream, length);
	sure = tail->length <= TAIL_MAX ? 0 : tail->length - TAIL_MAX;
	if (sure > 0 && put_output(tail->data, sure, err) == -1)
		return -1;
	buf_drop(tail, sure);
	return 1;
}

static bool
copy_input(struct client *client)
{
	char data[COPY_BYTES];
	ssize_t n = read(STDIN_FILENO, data, sizeof(data));

	if (n == -1 && errno == EINTR)
		return true;
	if (n <= 0) {
		stream_end_output(client->stream);
		return false;
	}
	stream_write(client->stream, data, (size_t)n);
	return stream_flush(client->stream) == STREAM_OK;
}

/* Until the server has ended: 0 or -1. */
static int
copy_output(struct client *client, struct error *err)
{
	int64_t deadline_ms = clock_ms() + client->run_ms;
	bool copies = client->copies_input;
	int result = 1;

	stream_set_timeout(client->stream, client->run_ms);
	while (result == 1) {
		struct pollfd polled[2] = {
			{ .fd = client->fd, .events = POLLIN },
			{ .fd = copies ? STDIN_FILENO : -1, .events = POLLIN },
		};
		int64_t left_ms = deadline_ms - clock_ms();

		if (left_ms <= 0)
			return error_set(err, "no answer within %d s",
			    client->run_ms / 1000);
		if (!stream_has_input(client->stream) &&
		    poll(polled, 2, (int)left_ms) <= 0)
			continue;
		if (polled[1].revents != 0)
			copies = copy_input(client);
		if (stream_has_input(client->stream) || polled[0].revents != 0)
			result = take_more(client, err);
	}
	return result;
}

/* What the marker at the end says; what stands before it is output. */
static int
take_status(struct client *client, struct error *err)
{
	const struct buf *tail = &client->tail;
	uint64_t status = LOST;
	size_t at = tail->length;

	while (at > 0 && tail->data[at - 1] >= '0' && tail->data[at - 1] <= '9')
		at--;
	if (at < sizeof(marker) - 1 ||
	    memcmp(tail->data + at - (sizeof(marker) - 1), marker,
		sizeof(marker) - 1) != 0 ||
	    !scan_u64n(tail->data + at, tail->length - at, UINT8_MAX, &status)) {
		put_output(tail->data, tail->length, err);
		return error_set(err,
		    "the connection ended before the command: nobody knows "
		    "what became of it");
	}
	return put_output(tail->data, at - (sizeof(marker) - 1), err) == -1
	    ? -1
	    : (int)status;
}

static int
run_client(struct client *client, int number, struct error *err)
{
	return connect_any(client, err) == -1 ||
		start_client_tls(client, err) == -1 ||
		start_command(client, number, err) == -1 ||
		copy_output(client, err) == -1
	    ? -1
	    : take_status(client, err);
}

static void
read_options(struct client *client, int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "c:C:h:ikmn:p:P:u:v")) != -1) {
		switch (option) {
		case 'c':
			client->command = optarg;
			break;
		case 'C':
			client->authorities = optarg;
			break;
		case 'h':
			client->host = optarg;
			break;
		case 'i':
			client->copies_input = true;
			break;
		case 'k':
			client->is_unchecked = true;
			break;
		case 'm': /* the name always counts, unless -k */
			client->is_unchecked = false;
			break;
		case 'n':
			client->certificate = optarg;
			break;
		case 'p':
			client->port = optarg;
			break;
		case 'P':
			free(client->password);
			client->password = xstrdup(optarg);
			explicit_bzero(optarg, strlen(optarg));
			break;
		case 'u':
			client->user = optarg;
			break;
		case 'v':
			client->is_verbose = true;
			break;
		default:
			cli_usage(usage);
		}
	}
	if (optind != argc || client->command == NULL ||
	    *client->user == '\0' || *client->password == '\0' ||
	    strpbrk(client->command, "\r\n") != NULL ||
	    strpbrk(client->user, "\r\n") != NULL ||
	    strpbrk(client->password, "\r\n") != NULL)
		cli_usage(usage);
}

int
main(int argc, char **argv)
{
	struct client client = { .host = variable("ADMIN_HOST", "localhost"),
		.port = variable("ADMIN_PORT", "4000"),
		.user = variable("ADMIN_USER", ""),
		.password = xstrdup(variable("ADMIN_PASS", "")),
		.fd = -1 };
	AUTO(strlist_release) struct strlist words = { .count = 0 };
	struct error err;
	int number, status;

	cli_start("adminclient", argv, usage);
	signal(SIGPIPE, SIG_IGN);
	client.connect_ms = variable_ms("TIMEOUTCONN", "60");
	client.answer_ms = variable_ms("TIMEOUTDATA", "120");
	client.run_ms = variable_ms("DATA_TIMEOUT", "1800");
	read_options(&client, argc, argv);
	if (words_split(client.command, &words, &err) == -1)
		fatal(100, "command: %s", err.text);
	number = words.count == 0 ? COMMAND_NONE : command_find(words.items[0]);
	if (number == COMMAND_NONE)
		fatal(100, "invalid or unauthorized command");
	buf_init(&client.tail);
	status = run_client(&client, number, &err);
	stream_free(&client.stream);
	tls_context_free(&client.context);
	buf_release(&client.tail);
	free(client.password);
	if (status == -1)
		fatal(LOST, "%s", err.text);
	return status;
}
