/* SPDX-License-Identifier: ISC */
/* The sink that is a queue's intake socket. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/packet.h"
#include "queue/dir.h"
#include "queue/exitcode.h"
#include "queue/intake_packet.h"
#include "queue/sink_private.h"

enum {
	/* of body and envelope in one packet, beside its other fields */
	PIECE_MAX_BYTES = PACKET_MAX - 64,
	ANSWER_MAX_BYTES = 2048,
	/* A qmail-send that was killed is there again within that. */
	RETRY_MS = 10000
};

/* What became of a COMMIT, besides enum qq. */
enum { LOST = -1 };

static const char *
queue_path(const struct sink *sink)
{
	return sink->queues[sink->queue_at];
}

static void
disconnect(struct sink *sink)
{
	file_close(&sink->connection);
}

/* For the next sink. */
static void
keep_connection(struct sink *sink)
{
	sink_pool_put(sink->pool, queue_path(sink), sink->connection);
	sink->connection = -1;
}

static int
send_packet(struct sink *sink, const struct intake_packet *packet)
{
	AUTO(buf_release) struct buf buf = BUF_INIT;

	intake_put(&buf, packet);
	return packet_send(sink->connection, buf.data, buf.length, -1, 0);
}

/* An idle connection's qmail-send says nothing, unless it has gone. */
static bool
is_alive(int connection)
{
	char byte;

	return recv(connection, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == -1 &&
	    errno == EAGAIN;
}

static void
add_reason(struct sink *sink, int error)
{
	buf_addf(&sink->reasons, "%s'%s' (%s)",
	    sink->reasons.length > 0 ? ", " : "", queue_path(sink),
	    strerror(error));
}

/* 0, or -1 with errno. */
static int
connect_queue(struct sink *sink)
{
	struct intake_packet hello = { .type = INTAKE_HELLO,
		.version = INTAKE_VERSION };
	AUTO(mem_free) char *path = queue_lock_path(queue_path(sink), "intake");
	int error = 0;

	sink->connection = packet_connect_within(path, sink->timeout_ms, NULL);
	if (sink->connection == -1 || send_packet(sink, &hello) == -1) {
		error = errno;
		disconnect(sink);
		mux_report_down(sink->mux, queue_path(sink));
	}
	sink_pool_tell(sink->pool, queue_path(sink), error);
	errno = error;
	return error == 0 ? 0 : -1;
}

/* A connection to the queue at queue_at, with nothing sent.  0 or -1. */
static int
open_connection(struct sink *sink)
{
	int error;

	sink->sent_bytes = 0;
	while ((sink->connection = sink_pool_get(
		    sink->pool, queue_path(sink), &error)) != -1) {
		if (is_alive(sink->connection))
			return 0;
		disconnect(sink);
	}
	if (error == 0 && connect_queue(sink) == 0)
		return 0;
	add_reason(sink, error != 0 ? error : errno);
	return -1;
}

/* Says which queues are down; without any, the reason is there already. */
static int
fail_down(struct sink *sink)
{
	if (sink->reasons.length == 0)
		return QQ_UNAVAILABLE;
	error_set(&sink->err, "%s ('svctool status' shows more): %s",
	    sink->queue_count > 1 ? "all queues are down" : "the queue is down",
	    sink->reasons.data);
	return QQ_UNAVAILABLE;
}

/* A queue trusts root, its own user and qmaild. */
static void
bind_uuid(struct sink *sink)
{
	uid_t uid;
	pid_t pid;

	if (!sink->is_smtpd && geteuid() != 0 &&
	    packet_peer(sink->connection, &uid, &pid) == 0 && uid != geteuid())
		uuid_bind(&sink->bound, geteuid());
}

static bool
are_all_down(const struct sink *sink)
{
	for (unsigned i = 0; i < sink->queue_count; i++)
		if (!sink_pool_is_down(
			sink->pool, sink->queues[i], sink->open_wait_ms))
			return false;
	return true;
}

int
sink_intake_open(struct sink *sink)
{
	int64_t until_ms = clock_ms() + sink->open_wait_ms;

	for (;;) {
		buf_reset(&sink->reasons);
		for (sink->queue_at = 0; sink->queue_at < sink->queue_count;
		     sink->queue_at++)
			if (open_connection(sink) == 0) {
				bind_uuid(sink);
				return QQ_OK;
			}
		sink->queue_at = 0;
		/* One that hangs takes long to fail, and the rest is untried
		 * then: it never is true of all. */
		if (clock_ms() >= until_ms || are_all_down(sink))
			return fail_down(sink);
		usleep(SINK_PAUSE_MS * 1000);
	}
}

/* Can all of the body be sent again? */
static bool
is_held(const struct sink *sink)
{
	return sink->dropped_bytes == 0;
}

/* From the first loss on the time runs, whatever goes wrong then. */
static bool
is_time_over(struct sink *sink)
{
	int64_t now_ms = clock_ms();

	if (sink->give_up_at == 0)
		sink->give_up_at = now_ms + RETRY_MS;
	return now_ms >= sink->give_up_at;
}

/*
 * The connection was lost before a COMMIT, or the queue refused: what is held
 * goes to the next queue that answers, or to this one again.
 */
static int
move_on(struct sink *sink)
{
	disconnect(sink);
	if (!is_held(sink)) {
		error_set(&sink->err,
		    "queue '%s' ended the connection in the middle of a "
		    "message too large to be kept for another one",
		    queue_path(sink));
		return QQ_UNAVAILABLE;
	}
	for (;;) {
		buf_reset(&sink->reasons);
		for (unsigned tries = 0; tries < sink->queue_count; tries++) {
			sink->queue_at = (sink->queue_at + 1) %
			    sink->queue_count;
			if (open_connection(sink) == 0)
				return QQ_OK;
		}
		if (is_time_over(sink))
			return fail_down(sink);
		usleep(SINK_PAUSE_MS * 1000);
	}
}

/* Sends the body, but for at most rest bytes.  0, or -1: the queue is lost. */
static int
send_body(struct sink *sink, size_t rest)
{
	while (sink->size_bytes - sink->sent_bytes > rest) {
		size_t at = (size_t)(sink->sent_bytes - sink->dropped_bytes);
		size_t left = sink->pending.length - at;
		struct intake_packet piece = { .type = INTAKE_BODY,
			.body = sink->pending.data + at,
			.body_length = left < PIECE_MAX_BYTES
			    ? left
			    : PIECE_MAX_BYTES };

		if (send_packet(sink, &piece) == -1)
			return -1;
		sink->sent_bytes += piece.body_length;
	}
	return 0;
}

int
sink_intake_write(struct sink *sink)
{
	while (send_body(sink, PIECE_MAX_BYTES) == -1) {
		int result = is_time_over(sink) ? fail_down(sink)
						: move_on(sink);

		if (result != QQ_OK)
			return sink_fail(sink, result);
	}
	if (sink->size_bytes > SINK_HELD_MAX) {
		buf_drop(&sink->pending,
		    (size_t)(sink->sent_bytes - sink->dropped_bytes));
		sink->dropped_bytes = sink->sent_bytes;
	}
	return QQ_OK;
}

/* All that was not sent, in one packet if it fits.  0, or -1 as above. */
static int
send_rest(struct sink *sink, const struct sink_envelope *envelope,
    const struct buf *record)
{
	struct intake_packet commit = { .type = INTAKE_COMMIT,
		.uuid = sink->uuid,
		.qp = envelope->qp,
		.size_bytes = sink->size_bytes };
	struct intake_packet piece = { .type = INTAKE_ENVELOPE };
	size_t rest = record->length < PIECE_MAX_BYTES
	    ? PIECE_MAX_BYTES - record->length
	    : 0;
	size_t sent = 0;

	if (send_body(sink, rest) == -1)
		return -1;
	for (; record->length - sent > PIECE_MAX_BYTES;
	     sent += PIECE_MAX_BYTES) {
		piece.envelope = record->data + sent;
		piece.envelope_length = PIECE_MAX_BYTES;
		if (send_packet(sink, &piece) == -1)
			return -1;
	}
	commit.envelope = record->data + sent;
	commit.envelope_length = record->length - sent;
	commit.body_length = (size_t)(sink->size_bytes - sink->sent_bytes);
	commit.body = sink->pending.data + sink->pending.length -
	    commit.body_length;
	/* A packet is sent whole or, when that fails, not at all. */
	if (send_packet(sink, &commit) == -1)
		return -1;
	sink->sent_bytes = sink->size_bytes;
	return 0;
}

/* Its answer's code; or LOST, with the connection. */
static int
receive(struct sink *sink)
{
	char buffer[ANSWER_MAX_BYTES];
	struct intake_packet answer;
	AUTO(file_close) int fd = -1;
	ssize_t n = packet_receive(
	    sink->connection, buffer, sizeof(buffer), &fd, 0);

	if (n == -1 && errno == EAGAIN) { /* SO_RCVTIMEO */
		error_set(&sink->err, "queue '%s' did not answer in %d ms",
		    queue_path(sink), sink->timeout_ms);
		disconnect(sink);
		return QQ_TIMEOUT;
	}
	if (n <= 0) {
		error_set(&sink->err, "queue '%s' ended the connection",
		    queue_path(sink));
		disconnect(sink);
		return LOST;
	}
	if (!intake_get(buffer, (size_t)n, &answer) ||
	    answer.type != INTAKE_ANSWER) {
		error_set(&sink->err, "queue '%s' answered what is no answer",
		    queue_path(sink));
		disconnect(sink);
		return QQ_BUG;
	}
	sink->id = answer.id;
	if (answer.code != QQ_OK)
		error_set(&sink->err, "queue '%s' refused: %s",
		    queue_path(sink), answer.text);
	return (int)answer.code;
}

/*
 * It may have committed, though nobody heard: the queue is asked, as soon as
 * there is a qmail-send again.  What it says is the result.
 */
static int
ask_queue(struct sink *sink)
{
	struct intake_packet question = { .type = INTAKE_ASK,
		.uuid = sink->uuid };
	int result;

	for (;;) {
		buf_reset(&sink->reasons);
		if (open_connection(sink) == 0) {
			result = send_packet(sink, &question) == 0
			    ? receive(sink)
			    : LOST;
			if (result != LOST)
				return result;
			disconnect(sink);
		}
		if (is_time_over(sink))
			return fail_down(sink);
		usleep(SINK_PAUSE_MS * 1000);
	}
}

/* Might another queue take what this one refused? */
static bool
is_queue_trouble(int code)
{
	return !qq_is_permanent(code) && code != QQ_ENVELOPE &&
	    code != QQ_TIMEOUT && code != QQ_BUG;
}

/* One try on one queue: its code, or LOST: it was not committed. */
static int
try_commit(struct sink *sink, const struct sink_envelope *envelope,
    const struct buf *record)
{
	int result;

	if (send_rest(sink, envelope, record) == -1)
		return LOST;
	result = receive(sink);
	if (result == LOST)
		result = ask_queue(sink);
	if (result != INTAKE_ABSENT)
		return result;
	sink->sent_bytes = 0;
	return LOST;
}

static int
commit_record(struct sink *sink, const struct sink_envelope *envelope,
    const struct buf *record)
{
	unsigned refusals = 0;

	for (;;) {
		int result = try_commit(sink, envelope, record);
		bool is_connected = sink->connection != -1;

		if (result == LOST) {
			if (is_time_over(sink))
				return fail_down(sink);
			/* The one that said so takes it, if it still can. */
			if (is_connected && is_held(sink) &&
			    sink->sent_bytes == 0 && is_alive(sink->connection))
				continue;
		} else {
			if (is_connected)
				keep_connection(sink);
			if (result == QQ_OK || !is_queue_trouble(result) ||
			    !is_held(sink) || !is_connected ||
			    ++refusals >= sink->queue_count)
				return result;
		}
		result = move_on(sink);
		if (result != QQ_OK)
			return result;
	}
}

int
sink_intake_commit(struct sink *sink, const struct sink_envelope *envelope)
{
	AUTO(buf_release) struct buf record = BUF_INIT;

	sink_format_envelope(sink, envelope, &record);
	sink_fail(sink, commit_record(sink, envelope, &record));
	disconnect(sink);
	return sink->result;
}

void
sink_intake_abort(struct sink *sink)
{
	struct intake_packet forget = { .type = INTAKE_ABORT };
	AUTO(buf_release) struct buf buf = BUF_INIT;

	if (sink->connection == -1)
		return;
	intake_put(&buf, &forget);
	/* A queue that has no room for it knows when the connection ends. */
	if (sink->sent_bytes == 0 ||
	    packet_send(
		sink->connection, buf.data, buf.length, -1, MSG_DONTWAIT) == 0)
		keep_connection(sink);
	else
		disconnect(sink);
}
