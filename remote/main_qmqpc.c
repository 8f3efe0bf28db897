/* SPDX-License-Identifier: ISC */
/*
 * qmail-qmqpc: gives one message, fd 0, with its envelope, fd 1, to a host that
 * takes it by QMQP, in place of qmail-queue (qmail-qmqpc(8)).
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/netstring.h"
#include "base/scan.h"
#include "base/stream.h"
#include "base/usage.h"
#include "control/home.h"
#include "control/network.h"
#include "control/settings.h"
#include "queue/envelope.h"
#include "queue/exitcode.h"

enum {
	QMQP_PORT = 628,
	CONNECT_MS = 10 * 1000,
	TALK_MS = 60 * 1000,
	ANSWER_MAX = 1000,
	READ_BYTES = 65536
};

static const char usage[] =
    "usage: qmail-qmqpc, with a message on descriptor 0 and its envelope on 1";

static int
read_whole(int fd, size_t max, struct buf *buf)
{
	ssize_t n;

	do {
		buf_reserve(buf, READ_BYTES);
		n = read(fd, buf->data + buf->length, READ_BYTES);
		if (n > 0)
			buf->length += (size_t)n;
		if (buf->length > max)
			return QQ_ADDRESS_TOO_LONG;
	} while (n > 0 || (n == -1 && errno == EINTR));
	return n == -1 ? QQ_READ_ERROR : QQ_OK;
}

/* Puts the package, the netstring around it included, behind what out holds. */
static int
make_package(
    const struct buf *message, const struct buf *record, struct buf *out)
{
	AUTO(buf_release) struct buf inner = BUF_INIT;
	struct envelope envelope;
	struct error err;

	if (envelope_parse(record->data, record->length, ENVELOPE_INPUT,
		&envelope, &err) == -1)
		return QQ_ENVELOPE;
	netstring_put(&inner, message->data, message->length);
	netstring_put(&inner, envelope.sender, strlen(envelope.sender));
	for (size_t i = 0; i < envelope.recipient_count; i++)
		netstring_put(&inner, envelope.recipients[i],
		    strlen(envelope.recipients[i]));
	envelope_release(&envelope);
	netstring_put(out, inner.data, inner.length);
	return QQ_OK;
}

/* A socket, or -1. */
static int
connect_to(const struct sockaddr_storage *address)
{
	socklen_t length = address->ss_family == AF_INET6
	    ? sizeof(struct sockaddr_in6)
	    : sizeof(struct sockaddr_in);
	const struct timeval wait = { .tv_sec = CONNECT_MS / 1000 };
	int fd = socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd == -1)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)) == 0 &&
	    connect(fd, (const struct sockaddr *)address, length) == 0)
		return fd;
	close(fd);
	return -1;
}

static bool
read_byte(struct stream *stream, char *byte_out)
{
	const char *data;
	size_t length;

	if (stream_peek(stream, &data, &length) != STREAM_OK)
		return false;
	*byte_out = *data;
	stream_consume(stream, 1);
	return true;
}

/* The first byte of the answer, when all of it came; else '\0'. */
static char
read_answer(struct stream *stream)
{
	struct netstring netstring = { 0 };
	enum netstring_result result = NETSTRING_MORE;
	char first = '\0', byte = '\0';

	while (result == NETSTRING_MORE) {
		if (!read_byte(stream, &byte))
			return '\0';
		result = netstring_read(&netstring, byte, ANSWER_MAX);
	}
	if (result != NETSTRING_LENGTH)
		return '\0';
	for (uint64_t i = 0; i <= netstring.length; i++) {
		if (!read_byte(stream, &byte))
			return '\0';
		if (i == 0)
			first = byte;
	}
	return byte == ',' ? first : '\0';
}

/* An enum qq. */
static int
talk(int fd, const struct buf *package)
{
	struct stream *stream = stream_new(fd, fd);
	char answer;

	stream_set_timeout(stream, TALK_MS);
	stream_write(stream, package->data, package->length);
	/* Also a host that did not read all may have said why. */
	if (stream_flush(stream) != STREAM_OK)
		stream_drop_output(stream);
	answer = read_answer(stream);
	stream_free(&stream);
	switch (answer) {
	case 'K':
		return QQ_OK;
	case 'Z':
		return QQ_UNAVAILABLE;
	case 'D':
		return QQ_REJECTED;
	}
	return QQ_TALK;
}

static unsigned short
standard_port(void)
{
	const char *text = getenv("PORT_QMQP");
	uint64_t port;

	return text != NULL && scan_u64(text, UINT16_MAX, &port) && port > 0
	    ? (unsigned short)port
	    : QMQP_PORT;
}

/* To the first host that can be reached. */
static int
send_package(const struct strlist *servers, const struct buf *package)
{
	for (size_t i = 0; i < servers->count; i++) {
		struct sockaddr_storage address;
		int fd, result;

		if (!network_read_endpoint(
			servers->items[i], standard_port(), &address))
			return QQ_BAD_CONFIG;
		fd = connect_to(&address);
		if (fd == -1)
			continue;
		result = talk(fd, package);
		close(fd);
		return result;
	}
	return QQ_NETWORK;
}

static int
run(const struct settings *settings)
{
	AUTO(buf_release) struct buf message = BUF_INIT;
	AUTO(buf_release) struct buf record = BUF_INIT;
	AUTO(buf_release) struct buf package = BUF_INIT;
	const struct strlist *servers = settings_list(
	    settings, SETTING_qmqpservers);
	int result;

	if (servers->count == 0)
		return QQ_BAD_CONFIG;
	result = read_whole(0, SIZE_MAX, &message);
	if (result == QQ_OK)
		result = read_whole(1, ENVELOPE_MAX_BYTES, &record);
	if (result == QQ_OK)
		result = make_package(&message, &record, &package);
	return result == QQ_OK ? send_package(servers, &package) : result;
}

int
main(int argc, char **argv)
{
	struct settings *settings;
	struct home *home;
	struct error err;
	int result = QQ_BAD_CONFIG;

	log_open("qmail-qmqpc");
	usage_answer(argv, "qmail-qmqpc", usage);
	if (argc > 1) {
		log_line("%s", usage);
		return QQ_MISCONFIGURED;
	}
	signal(SIGPIPE, SIG_IGN);
	home = home_new();
	settings = settings_load(home->control, "qmail-qmqpc", NULL, &err);
	if (settings != NULL)
		result = run(settings);
	settings_free(&settings);
	home_free(&home);
	return result;
}
