/* SPDX-License-Identifier: ISC */
/* Asks lookupd, and waits for the answers. */
#include "lookupd/lookup_client.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/idle_fds.h"
#include "base/mem.h"
#include "base/packet.h"

enum {
	RETRY_MS = 50,    /* between attempts to reach it */
	RESTART_MS = 3000 /* it is back by then, when it only restarts */
};

struct lookup_client {
	char *socket_path;
	/* It was not there: until then nobody waits for it again. */
	_Atomic int64_t down_until_ms;
	_Atomic uint32_t last_id;
	struct idle_fds idle;
};

struct lookup_client *
lookup_client_new(const char *socket_path)
{
	struct lookup_client *client = xcalloc(1, sizeof(*client));

	client->socket_path = xstrdup(socket_path);
	idle_fds_init(&client->idle);
	return client;
}

void
lookup_client_free(struct lookup_client **client_in)
{
	struct lookup_client *client = *client_in;

	if (client == NULL)
		return;
	idle_fds_release(&client->idle);
	free(client->socket_path);
	free(client);
	*client_in = NULL;
}

void
lookup_reply_release(struct lookup_reply *reply)
{
	if (reply->storage.data != NULL)
		explicit_bzero(reply->storage.data, reply->storage.length);
	buf_release(&reply->storage);
	free(reply->answers);
	*reply = (struct lookup_reply){ .storage = BUF_INIT };
}

/* A wait on the connection ends then: EAGAIN. */
static void
set_wait(int fd, int64_t deadline_ms)
{
	int64_t left_ms = deadline_ms - clock_ms();
	struct timeval wait;

	if (left_ms < 1)
		left_ms = 1;
	wait.tv_sec = left_ms / 1000;
	wait.tv_usec = left_ms % 1000 * 1000;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
}

/* Packets are kept one behind the other: records are found when all is there. */
struct received {
	size_t at[QUERY_COUNT_MAX]; /* where packets begin in storage */
	size_t lengths[QUERY_COUNT_MAX];
	size_t count;
};

/* 1, 0 when the other side has gone, -1 with the reason. */
static int
receive_answers(int fd, uint32_t id, size_t total, struct lookup_reply *reply,
    struct received *received, struct error *err)
{
	struct query_answers *answers = xmalloc(sizeof(*answers));
	size_t known = 0;
	int result = 1;

	while (known < total && result == 1) {
		size_t start = reply->storage.length;
		int passed_fd;
		ssize_t n;

		buf_reserve(&reply->storage, total == 1 ? 4096 : PACKET_MAX);
		n = packet_receive(fd, reply->storage.data + start,
		    reply->storage.size - start - 1, &passed_fd, 0);
		if (n > 0 && passed_fd != -1)
			close(passed_fd);
		if (n == -1 && errno == EMSGSIZE)
			errno = EPROTO;
		if (n == 0 || (n == -1 && errno == ECONNRESET))
			result = 0;
		else if (n == -1 && errno == EINTR)
			continue;
		else if (n == -1 && errno == EAGAIN)
			result = error_set(
			    err, "lookupd did not answer in time");
		else if (n == -1)
			result = error_sys(err, "cannot hear lookupd");
		else if (!query_get_answers(reply->storage.data + start,
			     (size_t)n, answers) ||
		    answers->id != id || answers->first != known ||
		    answers->total != total)
			result = error_set(err,
			    "lookupd sent a packet that is no answer of "
			    "version %d: restart both, so that they are of the "
			    "same release",
			    QUERY_VERSION);
		else {
			received->at[received->count] = start;
			received->lengths[received->count++] = (size_t)n;
			reply->storage.length += (size_t)n;
			known += answers->count;
		}
	}
	for (size_t i = 0; i < received->count && result == 1; i++) {
		query_get_answers(reply->storage.data + received->at[i],
		    received->lengths[i], answers);
		memcpy(&reply->answers[answers->first], answers->answers,
		    answers->count * sizeof(answers->answers[0]));
	}
	free(answers);
	return result;
}

/* On one connection.  1, 0: it was closed by the other side, -1. */
static int
ask_on_connection(int fd, const struct buf *packet, uint32_t id,
    int64_t deadline_ms, struct lookup_reply *reply, struct error *err)
{
	struct received received;

	received.count = 0;
	set_wait(fd, deadline_ms);
	if (packet_send(fd, packet->data, packet->length, -1, 0) == -1) {
		if (errno == EAGAIN)
			return error_set(err, "lookupd takes no questions");
		return 0;
	}
	buf_reset(&reply->storage);
	return receive_answers(fd, id, reply->count, reply, &received, err);
}

/* The questions of a packet; those that one does not hold are another's. */
static void
put_questions(struct buf *packet, uint32_t id, int64_t deadline_ms,
    const struct query *queries, size_t count)
{
	struct query_request *request = xmalloc(sizeof(*request));

	assert(count > 0 && count <= QUERY_COUNT_MAX);
	request->id = id;
	request->deadline_ms = (uint64_t)deadline_ms;
	request->count = count;
	memcpy(request->queries, queries, count * sizeof(*queries));
	query_put_request(packet, request);
	free(request);
}

int
lookup_client_ask(struct lookup_client *client, const struct query *queries,
    size_t count, int timeout_ms, struct lookup_reply *reply_out,
    struct error *err)
{
	int64_t now_ms = clock_ms(), deadline_ms = now_ms + timeout_ms;
	int64_t restart_ms = now_ms < client->down_until_ms
	    ? now_ms
	    : now_ms + RESTART_MS;
	uint32_t id = ++client->last_id;
	AUTO(buf_release) struct buf packet = BUF_INIT;
	int result = 0;

	if (restart_ms > deadline_ms)
		restart_ms = deadline_ms;
	*reply_out = (struct lookup_reply){ .count = count };
	buf_init(&reply_out->storage);
	reply_out->answers = xcalloc(count, sizeof(*reply_out->answers));
	put_questions(&packet, id, deadline_ms, queries, count);
	/* An idle connection may be of a lookupd that has gone. */
	while (result == 0) {
		int fd = idle_fds_take(&client->idle);
		bool is_new = fd == -1;

		if (is_new)
			fd = packet_connect_within(
			    client->socket_path, timeout_ms, err);
		if (fd != -1)
			result = ask_on_connection(fd, &packet, id, deadline_ms,
			    reply_out, err);
		if (result == 1)
			idle_fds_keep(&client->idle, fd);
		else if (fd != -1)
			close(fd);
		if (result != 0 || !is_new)
			continue;
		if (fd != -1)
			error_set(err, "lookupd ended before it answered");
		if (clock_ms() >= restart_ms) {
			client->down_until_ms = clock_ms() + RESTART_MS;
			result = -1;
		} else
			clock_sleep_ms(RETRY_MS);
	}
	if (result == 1)
		return 0;
	lookup_reply_release(reply_out);
	return error_context(
	    err, "lookupd does not answer (svctool status says why)");
}
