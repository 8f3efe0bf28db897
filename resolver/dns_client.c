/* SPDX-License-Identifier: ISC */
/* Asks resolverd, and waits for the answer. */
#include "resolver/dns_client.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/idle_fds.h"
#include "base/mem.h"
#include "base/packet.h"

struct dns_client {
	char *socket_path;
	struct idle_fds idle;
};

struct dns_client *
dns_client_new(const char *socket_path)
{
	struct dns_client *client = xcalloc(1, sizeof(*client));

	client->socket_path = xstrdup(socket_path);
	idle_fds_init(&client->idle);
	return client;
}

void
dns_client_free(struct dns_client **client_in)
{
	struct dns_client *client = *client_in;

	if (client == NULL)
		return;
	idle_fds_release(&client->idle);
	free(client->socket_path);
	free(client);
	*client_in = NULL;
}

/* Waits for the one packet that is to come: its length, 0 gone, -1. */
static ssize_t
receive_by(int fd, char *packet, size_t size, int64_t deadline_ms)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	int passed_fd;
	ssize_t n;

	for (;;) {
		int64_t left_ms = deadline_ms - clock_ms();
		int ready = poll(&poll_fd, 1, left_ms > 0 ? (int)left_ms : 0);

		if (ready == -1 && errno == EINTR)
			continue;
		if (ready == 0)
			errno = ETIMEDOUT;
		if (ready != 1)
			return -1;
		n = packet_receive(fd, packet, size, &passed_fd, MSG_DONTWAIT);
		if (n > 0 && passed_fd != -1)
			close(passed_fd);
		if (n != -1 || errno != EAGAIN)
			return n;
	}
}

/*
 * One question on one connection: 1; 0 when it was closed by the other side
 * (of an old resolverd perhaps); -1 with the reason.
 */
static int
ask_on(int fd, const struct dns_query *query, int64_t deadline_ms,
    struct dns_answer *answer_out, struct error *err)
{
	char *packet = xmalloc(PACKET_MAX);
	struct buf out;
	uint32_t id;
	ssize_t n = 0;
	int result = 0;

	buf_init(&out);
	dns_put_query(&out, query);
	if (packet_send(fd, out.data, out.length, -1, MSG_DONTWAIT) == 0)
		n = receive_by(fd, packet, PACKET_MAX, deadline_ms);
	buf_release(&out);
	if (n == -1 && errno == ETIMEDOUT)
		result = error_set(err, "the resolver did not answer in time");
	else if (n > 0 && dns_get_answer(packet, (size_t)n, &id, answer_out))
		result =
		    1; /* there is one question on a connection at a time */
	else if (n > 0)
		result = error_set(err,
		    "resolverd sent a packet that is no answer of version %d: "
		    "restart both, so that they are of the same release",
		    DNS_VERSION);
	free(packet);
	return result;
}

void
dns_client_ask(struct dns_client *client, enum dns_type type, const char *name,
    int timeout_ms, struct dns_answer *answer_out)
{
	const struct dns_query query = { .id = 1, .type = type, .name = name };
	int64_t deadline_ms = clock_ms() + timeout_ms;
	bool is_new = false;
	struct error err;
	int result = 0;

	/* An idle connection may be of a resolverd that has gone. */
	while (result == 0 && !is_new) {
		int fd = idle_fds_take(&client->idle);

		is_new = fd == -1;
		if (is_new)
			fd = packet_connect_within(
			    client->socket_path, timeout_ms, &err);
		if (fd == -1)
			result = -1;
		else
			result = ask_on(
			    fd, &query, deadline_ms, answer_out, &err);
		if (result == 1)
			idle_fds_keep(&client->idle, fd);
		else if (fd != -1)
			close(fd);
	}
	if (result == 0)
		error_set(&err, "resolverd ended before it answered");
	if (result != 1)
		dns_answer_unknown(answer_out, err.text);
}
