/* SPDX-License-Identifier: ISC */
/* The sink that is a queue's intake socket. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/packet.h"
#include "queue/dir.h"
#include "queue/exitcode.h"
#include "queue/intake_packet.h"
#include "queue/sink_private.h"

enum { PIECE_MAX_BYTES = 48 * 1024, ANSWER_MAX_BYTES = 2048 };

static void
disconnect(struct sink *sink)
{
	if (sink->connection != -1)
		close(sink->connection);
	sink->connection = -1;
}

static int
send_packet(struct sink *sink, const struct intake_packet *packet)
{
	struct buf buf = BUF_INIT;
	int result;

	intake_put(&buf, packet);
	result = packet_send(sink->connection, buf.data, buf.length, -1, 0);
	buf_release(&buf);
	return result;
}

/* For any one answer, or the room to ask. */
static int
set_timeout(struct sink *sink)
{
	struct timeval timeout = { .tv_sec = sink->timeout_ms / 1000,
		.tv_usec = sink->timeout_ms % 1000 * 1000 };

	if (setsockopt(sink->connection, SOL_SOCKET, SO_RCVTIMEO, &timeout,
		sizeof(timeout)) == -1 ||
	    setsockopt(sink->connection, SOL_SOCKET, SO_SNDTIMEO, &timeout,
		sizeof(timeout)) == -1)
		return error_sys(&sink->err, "cannot set a timeout");
	return 0;
}

/* An idle connection's qmail-send says nothing, unless it has gone. */
static bool
is_alive(int connection)
{
	char byte;

	return recv(connection, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == -1 &&
	    errno == EAGAIN;
}

/* Takes an idle connection, with its next file or after sending OPEN. */
static bool
reuse(
    struct sink *sink, const char *queue_path, const struct intake_packet *open)
{
	struct sink_idle idle;

	while (sink_pool_get(sink->pool, queue_path, &idle)) {
		sink->connection = idle.connection;
		sink->message_fd = idle.message_fd;
		if (is_alive(sink->connection) &&
		    (sink->message_fd != -1 || send_packet(sink, open) == 0))
			return true;
		disconnect(sink); /* that qmail-send has gone */
		if (sink->message_fd != -1)
			close(sink->message_fd);
		sink->message_fd = -1;
	}
	return false;
}

/* Connects to a queue and sends OPEN.  0 or -1. */
static int
open_queue(struct sink *sink, const char *queue_path, bool may_reuse)
{
	struct intake_packet open = { .type = INTAKE_OPEN,
		.version = INTAKE_VERSION };
	char *path;

	sink->is_reused = may_reuse && reuse(sink, queue_path, &open);
	if (sink->is_reused)
		return 0;
	path = queue_lock_path(queue_path, "intake");
	sink->connection = packet_connect(path, &sink->err);
	free(path);
	if (sink->connection != -1 && set_timeout(sink) == 0 &&
	    send_packet(sink, &open) == 0)
		return 0;
	disconnect(sink);
	if (sink->mux != NULL)
		mux_report_down(sink->mux, queue_path);
	return -1;
}

int
sink_intake_open(struct sink *sink)
{
	for (; sink->queue_at < sink->queue_count; sink->queue_at++)
		if (open_queue(sink, sink->queues[sink->queue_at], true) == 0)
			return QQ_OK;
	if (sink->queue_count > 1)
		error_context(&sink->err,
		    "none of %u queues answers ('svctool status' shows why), "
		    "not the last either",
		    sink->queue_count);
	return QQ_NETWORK;
}

/*
 * Waits for the answer; its texts are in buffer.  A descriptor that comes with
 * it is the caller's.  Enum qq: when the answer did not come, what to say.
 */
static int
receive(struct sink *sink, char buffer[ANSWER_MAX_BYTES],
    struct intake_packet *answer, int *fd_out)
{
	ssize_t n;

	*fd_out = -1;
	n = packet_receive(
	    sink->connection, buffer, ANSWER_MAX_BYTES, fd_out, 0);
	if (n > 0 && intake_get(buffer, (size_t)n, answer))
		return QQ_OK;
	if (n == -1 && errno == EAGAIN) { /* SO_RCVTIMEO */
		error_set(&sink->err, "queue '%s' did not answer in %d ms",
		    sink->queues[sink->queue_at], sink->timeout_ms);
		return 72;
	}
	if (*fd_out != -1)
		close(*fd_out);
	*fd_out = -1;
	error_set(&sink->err, "queue '%s' ended the connection",
	    sink->queues[sink->queue_at]);
	return 74;
}

/* The answer to OPEN. */
static int
receive_opened(struct sink *sink)
{
	char buffer[ANSWER_MAX_BYTES];
	struct intake_packet answer;
	int fd, result = receive(sink, buffer, &answer, &fd);

	if (result != QQ_OK)
		return result;
	if (answer.type == INTAKE_OPENED && fd != -1) {
		sink->message_fd = fd;
		return QQ_OK;
	}
	if (fd != -1)
		close(fd);
	if (answer.type != INTAKE_REFUSED || answer.code == QQ_OK)
		return QQ_BUG;
	error_set(&sink->err, "queue '%s' refused: %s",
	    sink->queues[sink->queue_at], answer.text);
	return (int)answer.code;
}

int
sink_intake_begin(struct sink *sink)
{
	int result;

	/* A file at hand is worth nothing once its qmail-send has gone. */
	if (sink->message_fd != -1 && !is_alive(sink->connection)) {
		close(sink->message_fd);
		sink->message_fd = -1;
	}
	result = sink->message_fd != -1 ? QQ_OK : receive_opened(sink);
	/* An idle connection may have ended with its qmail-send: ask anew. */
	if (result != QQ_OK && sink->is_reused) {
		disconnect(sink);
		if (open_queue(sink, sink->queues[sink->queue_at], false) == 0)
			result = receive_opened(sink);
	}
	while (result != QQ_OK && sink->queue_at + 1 < sink->queue_count) {
		disconnect(sink);
		sink->queue_at++;
		if (open_queue(sink, sink->queues[sink->queue_at], false) == 0)
			result = receive_opened(sink);
	}
	if (result != QQ_OK)
		disconnect(sink);
	return result;
}

static int
send_envelope(struct sink *sink, const struct sink_envelope *envelope)
{
	struct buf record = BUF_INIT;
	size_t sent = 0;
	int result = 0;

	sink_format_envelope(sink, envelope, &record);
	while (result == 0 && record.length - sent > PIECE_MAX_BYTES) {
		struct intake_packet piece = { .type = INTAKE_ENVELOPE,
			.piece = record.data + sent,
			.piece_length = PIECE_MAX_BYTES };

		result = send_packet(sink, &piece);
		sent += PIECE_MAX_BYTES;
	}
	if (result == 0) {
		struct intake_packet commit = { .type = INTAKE_COMMIT,
			.size_bytes = sink->size_bytes,
			.qp = envelope->qp,
			.wants_next = sink->has_many,
			.piece = record.data + sent,
			.piece_length = record.length - sent };

		result = send_packet(sink, &commit);
	}
	buf_release(&record);
	return result;
}

int
sink_intake_commit(struct sink *sink, const struct sink_envelope *envelope)
{
	char buffer[ANSWER_MAX_BYTES];
	struct intake_packet answer;
	int fd, result;

	/* Before the commit, or the queue refuses it: nobody may write later.
	 */
	close(sink->message_fd);
	sink->message_fd = -1;
	if (send_envelope(sink, envelope) == -1) {
		error_sys(&sink->err, "queue '%s' ended the connection",
		    sink->queues[sink->queue_at]);
		disconnect(sink);
		return 74;
	}
	result = receive(sink, buffer, &answer, &fd);
	if (result == QQ_OK && answer.type != INTAKE_COMMITTED)
		result = QQ_BUG;
	if (result != QQ_OK) {
		if (fd != -1)
			close(fd);
		disconnect(sink);
		return result;
	}
	sink_pool_put(sink->pool, sink->queues[sink->queue_at],
	    (struct sink_idle){
		.connection = sink->connection, .message_fd = fd });
	sink->connection = -1;
	if (answer.code != QQ_OK)
		error_set(&sink->err, "queue '%s' refused: %s",
		    sink->queues[sink->queue_at], answer.text);
	return (int)answer.code;
}

void
sink_intake_abort(struct sink *sink)
{
	if (sink->message_fd != -1 && sink->size_bytes == 0 &&
	    sink->result == QQ_OK) {
		/* Nothing was written: it serves the next sink. */
		sink_pool_put(sink->pool, sink->queues[sink->queue_at],
		    (struct sink_idle){ .connection = sink->connection,
			.message_fd = sink->message_fd });
		sink->message_fd = sink->connection = -1;
		return;
	}
	/* An ended connection is an abort; nothing else is worth a packet. */
	if (sink->message_fd != -1)
		close(sink->message_fd);
	sink->message_fd = -1;
	disconnect(sink);
}
