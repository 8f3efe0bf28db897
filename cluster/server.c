/* SPDX-License-Identifier: ISC */
/* Answers what is known of the cluster. */
#include "cluster/server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/packet.h"
#include "base/packet_server.h"

enum {
	CLIENTS_MAX = 64,
	REQUEST_MAX = 4096,
	UNSENT_BYTES_MAX = 1 << 20 /* of one who does not take his answers */
};

struct cluster_server {
	struct packet_server clients; /* first: they lead back to it */
	struct state *state;
	char packet[REQUEST_MAX];
};

/* Takes the object; one that is too large for a packet has no health. */
static void
put_object(struct packet_client *client, json_t *object)
{
	char *text = json_dumps(object, JSON_COMPACT);

	if (text != NULL && strlen(text) > PACKET_MAX) {
		free(text);
		json_object_del(object, "health");
		text = json_dumps(object, JSON_COMPACT);
	}
	if (text != NULL && strlen(text) <= PACKET_MAX)
		buf_adds(outbox_add(&client->outbox), text);
	else
		buf_adds(outbox_add(&client->outbox),
		    "{\"error\":\"too large\"}");
	free(text);
	json_decref(object);
}

static void
answer_status(struct cluster_server *server, struct packet_client *client)
{
	struct state *state = server->state;
	int64_t now_ms = clock_boot_ms();

	pthread_mutex_lock(&state->lock);
	put_object(client, state_to_json(state, now_ms));
	for (size_t i = 0; i < state->member_count; i++)
		put_object(client,
		    state_member_to_json(state, &state->members[i], now_ms));
	pthread_mutex_unlock(&state->lock);
}

static void
answer_packet(
    struct cluster_server *server, struct packet_client *client, size_t length)
{
	json_t *request = json_loadb(server->packet, length, 0, NULL);
	const char *ask = json_string_value(json_object_get(request, "ask"));

	if (ask != NULL && strcmp(ask, "status") == 0)
		answer_status(server, client);
	else
		put_object(client,
		    json_pack("{s:s}", "error",
			request == NULL ? "this is no JSON object"
					: "nothing of that name is known"));
	json_decref(request);
}

static void
cluster_client_ready(uint32_t events, void *context)
{
	struct packet_client *client = context;
	struct cluster_server *server =
	    (struct cluster_server *)client->server;
	bool is_well = true;

	if ((events & ~(uint32_t)EPOLLOUT) != 0) {
		int passed_fd;
		ssize_t n = packet_receive(client->source.fd, server->packet,
		    sizeof(server->packet), &passed_fd, MSG_DONTWAIT);

		if (n > 0 && passed_fd != -1)
			close(passed_fd);
		if (n > 0)
			answer_packet(server, client, (size_t)n);
		else
			is_well = n == -1 && errno == EAGAIN;
	}
	is_well = is_well && outbox_send(&client->outbox, client->source.fd) &&
	    outbox_bytes(&client->outbox) <= UNSENT_BYTES_MAX;
	if (!is_well)
		packet_client_leave(client);
	else
		packet_client_watch(client, client->outbox.count == 0);
}

static bool
admit_cluster_client(struct packet_client *client)
{
	packet_refuse_fds(client->source.fd);
	return true;
}

struct cluster_server *
cluster_server_new(struct loop *loop, int listen_fd, struct state *state,
    struct error *err)
{
	struct cluster_server *server = xcalloc(1, sizeof(*server));

	server->state = state;
	server->clients = (struct packet_server){ .loop = loop,
		.client_size = sizeof(struct packet_client),
		.clients_max = CLIENTS_MAX,
		.admit = admit_cluster_client,
		.ready = cluster_client_ready };
	if (packet_server_open(&server->clients, listen_fd, err) == 0)
		return server;
	free(server);
	return NULL;
}

void
cluster_server_free(struct cluster_server **server)
{
	packet_server_close(&(*server)->clients);
	packet_server_end(&(*server)->clients);
	free(*server);
	*server = NULL;
}
