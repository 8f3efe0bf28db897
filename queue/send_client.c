/* SPDX-License-Identifier: ISC */
/* Trusted clients, served by the event loop. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/packet.h"
#include "control/etrnhosts.h"
#include "queue/exitcode.h"
#include "queue/send.h"
#include "queue/send_client.h"

enum {
	/* Packets of one client that are read before others get their turn. */
	PACKETS_A_TURN = 16,
	/* Of a body, beside as much that is being written. */
	WAITING_MAX_BYTES = 512 * 1024
};

struct client {
	LIST_ENTRY(client) in_clients;
	struct intake *intake;
	struct loop_source source;
	struct transaction transaction;
	bool has_hello;
	bool is_held;                /* not read until more is written */
	bool is_being_read;          /* ... by client_read(), which drops it */
	bool is_lost;                /* to be dropped by that */
	struct handover *handover;   /* its COMMIT is not answered yet */
	struct ask ask;              /* is_waiting: not answered yet */
	struct operation *operation; /* the same of an OPERATE */
};

void
client_drop(struct client *client)
{
	struct intake *intake = client->intake;

	loop_remove(intake->options.loop, &client->source);
	close(client->source.fd);
	if (client->handover != NULL)
		client->handover->answer = NULL;
	if (client->operation != NULL)
		client->operation->answer = NULL;
	intake_forget_ask(&client->ask);
	if (client->transaction.file != NULL)
		client->transaction.file->changed = NULL;
	transaction_reset(&client->transaction);
	LIST_REMOVE(client, in_clients);
	intake->client_count--;
	free(client);
}

static void
lose_client(struct client *client)
{
	client->is_lost = true;
	if (!client->is_being_read)
		client_drop(client);
}

/* An answer never waits: a client that does not read it is dropped. */
static void
answer_client(
    struct client *client, uint32_t code, uint64_t id, const char *text)
{
	if (!transaction_answer(client->source.fd, code, id, text))
		lose_client(client);
}

static void
client_commit_answered(void *context, int result, uint64_t id, const char *text)
{
	struct client *client = context;

	client->handover = NULL;
	answer_client(
	    client, (uint32_t)result, id, result == QQ_OK ? "" : text);
}

static void
client_ask_answered(void *context, bool is_known, uint64_t id)
{
	struct client *client = context;

	answer_client(client, is_known ? QQ_OK : INTAKE_ABSENT, id,
	    is_known ? "" : "no such message");
}

static void
client_operation_answered(
    void *context, uint32_t code, uint64_t id, const char *text)
{
	struct client *client = context;

	client->operation = NULL;
	answer_client(client, code, id, text);
}

/*
 * ETRN: a remote lane is tried now, for a client that etrnhosts allows it; his
 * address is the text.
 */
static bool
is_etrn(const struct client *client, const struct intake_packet *packet)
{
	const struct strlist *lines = settings_list(
	    client->intake->send->settings, SETTING_etrnhosts);
	struct etrnhost host;
	bool is_allowed;

	if (packet->action != INTAKE_RETRY || packet->id != 0 ||
	    !etrnhost_find(lines, packet->lane, &host))
		return false;
	is_allowed = strcmp(host.domain, packet->lane) == 0 &&
	    etrnhost_allows(&host, packet->text);
	etrnhost_release(&host);
	return is_allowed;
}

/* qmaild brings mail, and has no other say in what becomes of it. */
static void
operate_client(struct client *client, const struct intake_packet *packet)
{
	uid_t uid = client->transaction.uid;

	if (uid != 0 && uid != getuid() && !is_etrn(client, packet))
		answer_client(client, QQ_REJECTED, 0,
		    "only root and the queue's user may do that");
	else if (client->intake->is_stopping)
		answer_client(
		    client, QQ_UNAVAILABLE, 0, "the queue is being stopped");
	else
		intake_operate(client->intake->send, packet, uid,
		    client_operation_answered, client, &client->operation);
}

static void
body_written(struct body_file *file, void *context)
{
	struct client *client = context;

	if (!client->is_held || file->is_running)
		return;
	client->is_held = false;
	loop_change(client->intake->options.loop, &client->source, EPOLLIN);
}

/* What is too large for the journal is written while more comes. */
static void
store_client_body(struct client *client)
{
	struct transaction *transaction = &client->transaction;
	const struct intake_options *options = &client->intake->options;
	struct body_file *file = transaction->file;

	if (file == NULL) {
		if (transaction->body.length <= options->body_max_bytes)
			return;
		file = body_file_new(options->dir, options->bodies,
		    intake_next_id(client->intake->send));
		file->changed = body_written;
		file->context = client;
		transaction_set_file(transaction, file);
	}
	body_file_post(file);
	if (!client->is_held && file->is_running &&
	    file->waiting.length > WAITING_MAX_BYTES) {
		client->is_held = true;
		loop_change(client->intake->options.loop, &client->source, 0);
	}
}

static void
commit_client(struct client *client, const struct intake_packet *packet)
{
	struct intake_message *message;
	struct error err;
	int result = transaction_end(
	    &client->transaction, packet, &message, &err);

	if (result != QQ_OK) {
		transaction_reset(&client->transaction);
		answer_client(client, (uint32_t)result, 0, err.text);
		return;
	}
	if (client->is_held) {
		client->is_held = false;
		loop_change(
		    client->intake->options.loop, &client->source, EPOLLIN);
	}
	intake_hand_over(client->intake, message, &client->transaction.file,
	    client_commit_answered, client, &client->handover);
	buf_reset(&client->transaction.envelope);
	client->transaction.size_bytes = 0;
}

/* False when the client does what it may not. */
static bool
handle_client_packet(struct client *client, const struct intake_packet *packet)
{
	bool is_waiting = client->handover != NULL || client->ask.is_waiting ||
	    client->operation != NULL;

	if (is_waiting || client->has_hello == (packet->type == INTAKE_HELLO))
		return false;
	switch (packet->type) {
	case INTAKE_HELLO:
		client->has_hello = packet->version == INTAKE_VERSION;
		return client->has_hello;
	case INTAKE_BODY:
	case INTAKE_ENVELOPE:
	case INTAKE_COMMIT:
		if (!transaction_add(&client->transaction, packet))
			return false;
		store_client_body(client);
		if (packet->type == INTAKE_COMMIT)
			commit_client(client, packet);
		return true;
	case INTAKE_ASK:
		client->ask.uuid = packet->uuid;
		intake_ask(client->intake, &client->ask);
		return true;
	case INTAKE_OPERATE:
		operate_client(client, packet);
		return true;
	case INTAKE_ABORT:
		transaction_reset(&client->transaction);
		return true;
	case INTAKE_ANSWER:
		break;
	}
	return false;
}

static bool
read_packet(struct client *client, bool *is_more_out)
{
	static char buffer[PACKET_MAX]; /* the loop has one thread */
	struct intake_packet packet;
	AUTO(file_close) int fd = -1;
	ssize_t n = packet_receive(
	    client->source.fd, buffer, sizeof(buffer), &fd, MSG_DONTWAIT);

	*is_more_out = n > 0;
	if (n == -1 && errno == EAGAIN)
		return true;
	return n > 0 && fd == -1 && intake_get(buffer, (size_t)n, &packet) &&
	    handle_client_packet(client, &packet);
}

static void
intake_client_ready(uint32_t events, void *context)
{
	struct client *client = context;
	bool is_more = true;

	if (client->is_held) {
		/* It has gone, before COMMIT: all that was sent is void. */
		if (events & (EPOLLHUP | EPOLLERR))
			client_drop(client);
		return;
	}
	client->is_being_read = true;
	for (int turn = 0; turn < PACKETS_A_TURN && is_more &&
	     !client->is_held && !client->is_lost;
	     turn++)
		if (!read_packet(client, &is_more))
			client->is_lost = true;
	client->is_being_read = false;
	if (client->is_lost)
		client_drop(client);
}

void
client_new(struct intake *intake, int fd, uid_t uid)
{
	struct client *client = xcalloc(1, sizeof(*client));

	client->intake = intake;
	client->transaction.uid = uid;
	client->transaction.is_trusted = true;
	client->ask.answer = client_ask_answered;
	client->ask.context = client;
	client->source = (struct loop_source){
		.fd = fd, .ready = intake_client_ready, .context = client
	};
	LIST_INSERT_HEAD(&intake->clients, client, in_clients);
	intake->client_count++;
	if (loop_add(intake->options.loop, &client->source, EPOLLIN, NULL) ==
	    -1)
		client_drop(client);
}
