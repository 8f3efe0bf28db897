/* SPDX-License-Identifier: ISC */
/* What a running queue is told over its intake. */
#include "svctool/queue/order.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/packet.h"
#include "queue/envelope.h"
#include "queue/exitcode.h"

enum {
	ANSWER_MAX_BYTES = 4096,
	PIECE_MAX_BYTES = PACKET_MAX - 64 /* beside the other fields */
};

static int
send_order(
    int connection, const struct intake_packet *packet, struct error *err)
{
	AUTO(buf_release) struct buf buf = BUF_INIT;

	intake_put(&buf, packet);
	return packet_send(connection, buf.data, buf.length, -1, 0) == 0
	    ? 0
	    : error_sys(err, "cannot write to the queue");
}

static int
hear_answer(int connection, struct error *err)
{
	char buffer[ANSWER_MAX_BYTES];
	struct intake_packet answer;
	AUTO(file_close) int fd = -1;
	ssize_t n = packet_receive(connection, buffer, sizeof(buffer), &fd, 0);

	if (n == -1 && errno == EAGAIN)
		return error_set(err,
		    "the queue has not done it yet: a delivery of it may be "
		    "under way; it goes on with it");
	if (n == 0)
		return error_set(err,
		    "the queue ended the connection (it was stopped, or does "
		    "not obey this user)");
	if (n == -1)
		return error_sys(err, "cannot read from the queue");
	if (!intake_get(buffer, (size_t)n, &answer) ||
	    answer.type != INTAKE_ANSWER)
		return error_set(err, "the queue answered what is no answer");
	if (answer.code != QQ_OK)
		error_set(err, "%s", answer.text);
	return (int)answer.code;
}

static int
send_and_hear(
    int connection, const struct intake_packet *packet, struct error *err)
{
	return send_order(connection, packet, err) == -1
	    ? -1
	    : hear_answer(connection, err);
}

int
order_connect(
    const char *queue, const char *path, unsigned timeout_s, struct error *err)
{
	const struct intake_packet hello = { .type = INTAKE_HELLO,
		.version = INTAKE_VERSION };
	AUTO(mem_free) char *socket = queue_lock_path(path, "intake");
	int connection = packet_connect_within(
	    socket, (int)timeout_s * 1000, err);

	if (connection == -1)
		return error_set(err,
		    "%s does not run, and only its qmail-send may change what "
		    "becomes of its messages: 'svctool start' first",
		    queue);
	if (send_order(connection, &hello, err) == 0)
		return connection;
	close(connection);
	return -1;
}

int
order_message(int connection, enum intake_action action, uint64_t id,
    const char *reason, struct error *err)
{
	const struct intake_packet packet = { .type = INTAKE_OPERATE,
		.action = action,
		.id = id,
		.lane = "",
		.text = reason };

	return send_and_hear(connection, &packet, err);
}

int
order_lane(int connection, enum intake_action action, const char *lane,
    struct error *err)
{
	const struct intake_packet packet = { .type = INTAKE_OPERATE,
		.action = action,
		.lane = lane,
		.text = "" };

	return send_and_hear(connection, &packet, err);
}

int
order_ask(int connection, const struct uuid *uuid, struct error *err)
{
	const struct intake_packet packet = { .type = INTAKE_ASK,
		.uuid = *uuid };

	return send_and_hear(connection, &packet, err);
}

/* All that is known of it, as an import brings it: without u and p. */
static void
put_history(const struct chosen *chosen, struct buf *record)
{
	const struct look_message *message = chosen->message;
	size_t count = message->recipient_count;
	const char **recipients = xcalloc(count + 1, sizeof(*recipients));
	const char **dsn = xcalloc(count + 1, sizeof(*dsn));
	bool *is_done = xcalloc(count + 1, sizeof(*is_done));
	struct envelope envelope = { .sender = message->sender,
		.header = message->header,
		.dsn = message->dsn,
		.recipients = recipients,
		.recipient_dsn = dsn,
		.recipient_count = count,
		.birth = message->birth,
		.attempt = message->attempt,
		.notes = message->notes,
		.is_done = is_done };

	for (size_t i = 0; i < count; i++) {
		const struct look_recipient *from = &message->recipients[i];

		recipients[i] = chosen_address(chosen, from);
		dsn[i] = from->dsn;
		is_done[i] = from->is_done;
	}
	envelope_format(record, &envelope);
	for (int i = 0; i < 2; i++)
		buf_drop(record, strlen(record->data) + 1);
	free(recipients);
	free(dsn);
	free(is_done);
}

/* Sends the file's bytes, and how many they were; 0 or -1. */
static int
send_body(int connection, const struct chosen *chosen, uint64_t *bytes_out,
    struct error *err)
{
	static char piece[PIECE_MAX_BYTES];
	AUTO(file_close)
	int fd = queue_open_file(
	    chosen->dir, QUEUE_MESS, chosen->message->id, O_RDONLY);
	ssize_t n;

	*bytes_out = 0;
	while (fd != -1 && (n = read(fd, piece, sizeof(piece))) > 0) {
		const struct intake_packet packet = { .type = INTAKE_BODY,
			.body = piece,
			.body_length = (size_t)n };

		if (send_order(connection, &packet, err) == -1)
			return -1;
		*bytes_out += (uint64_t)n;
	}
	if (fd == -1 || n == -1)
		return error_sys(err, "cannot read its text");
	return *bytes_out == chosen->message->size_bytes
	    ? 0
	    : error_set(err, "its text has not the length that it should");
}

int
order_import(int connection, const struct chosen *chosen, struct error *err)
{
	AUTO(buf_release) struct buf record = BUF_INIT;
	struct intake_packet commit = { .type = INTAKE_COMMIT,
		.uuid = chosen->message->uuid,
		.qp = (uint64_t)getpid(),
		.is_import = true,
		.body = "" };
	const struct intake_packet forget = { .type = INTAKE_ABORT };
	struct error other_err;
	size_t sent = 0;

	if (send_body(connection, chosen, &commit.size_bytes, err) == -1) {
		send_order(connection, &forget, &other_err);
		return -1;
	}
	put_history(chosen, &record);
	for (; record.length - sent > PIECE_MAX_BYTES;
	     sent += PIECE_MAX_BYTES) {
		const struct intake_packet piece = { .type = INTAKE_ENVELOPE,
			.envelope = record.data + sent,
			.envelope_length = PIECE_MAX_BYTES };

		if (send_order(connection, &piece, err) == -1)
			return -1;
	}
	commit.envelope = record.data + sent;
	commit.envelope_length = record.length - sent;
	return send_and_hear(connection, &commit, err);
}
