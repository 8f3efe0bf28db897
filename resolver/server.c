/* SPDX-License-Identifier: ISC */
/* resolverd's side of its socket. */
#include "resolver/server.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/packet.h"
#include "base/packet_server.h"

enum {
	CLIENTS_MAX = 4096,
	/* Of one client, unanswered; then nothing more is taken from it. */
	QUESTIONS_MAX = 1024,
	QUESTION_BYTES = 512,
	/* Answers that a client does not read. */
	UNSENT_BYTES_MAX = 1024 * 1024
};

struct dns_server {
	struct packet_server clients; /* first: they lead back to it */
	struct unbound *unbound;
	struct loop_source answers_source;
};

/* A question of a client's, which it holds. */
struct asked {
	struct packet_client *client;
	uint32_t id;
};

static void
watch_client(struct packet_client *client)
{
	packet_client_watch(client, client->holds < QUESTIONS_MAX);
}

static void
send_answer(const struct dns_answer *answer, void *context)
{
	struct asked *asked = context;
	struct packet_client *client = asked->client;

	client->holds--;
	if (!client->is_gone)
		dns_put_answer(outbox_add(&client->outbox), asked->id, answer);
	free(asked);
	if (client->is_gone ||
	    outbox_bytes(&client->outbox) > UNSENT_BYTES_MAX ||
	    !outbox_send(&client->outbox, client->source.fd))
		packet_client_leave(client);
	else
		watch_client(client);
}

/* Takes one question.  0 none waits, 1 taken, -1 the client goes. */
static int
take_question(struct packet_client *client)
{
	char packet[QUESTION_BYTES];
	struct dns_server *server;
	struct dns_query query;
	struct asked *asked;
	int passed_fd;
	ssize_t n = packet_receive(client->source.fd, packet, sizeof(packet),
	    &passed_fd, MSG_DONTWAIT);

	if (n == -1 && errno == EAGAIN)
		return 0;
	if (n > 0 && passed_fd != -1)
		close(passed_fd);
	if (n <= 0 || !dns_get_query(packet, (size_t)n, &query))
		return -1;
	server = (struct dns_server *)client->server;
	asked = xmalloc(sizeof(*asked));
	*asked = (struct asked){ client, query.id };
	client->holds++;
	unbound_ask(
	    server->unbound, query.type, query.name, send_answer, asked);
	return 1;
}

static void
client_ready(uint32_t events, void *context)
{
	struct packet_client *client = context;
	int result = 1;

	if ((events & EPOLLOUT) != 0 &&
	    !outbox_send(&client->outbox, client->source.fd))
		result = -1;
	/* An answer that comes at once may end the client: not before we do. */
	client->holds++;
	while (result == 1 && !client->is_gone &&
	    client->holds <= QUESTIONS_MAX)
		result = take_question(client);
	client->holds--;
	if (result == -1 || client->is_gone)
		packet_client_leave(client);
	else
		watch_client(client);
}

static void
answers_ready(uint32_t events, void *context)
{
	struct dns_server *server = context;

	(void)events;
	unbound_process(server->unbound);
}

struct dns_server *
dns_server_new(struct loop *loop, struct unbound *unbound, int listen_fd,
    struct error *err)
{
	struct dns_server *server = xcalloc(1, sizeof(*server));

	server->clients = (struct packet_server){ .loop = loop,
		.client_size = sizeof(struct packet_client),
		.clients_max = CLIENTS_MAX,
		.ready = client_ready };
	server->unbound = unbound;
	server->answers_source = (struct loop_source){ unbound_fd(unbound),
		answers_ready, server };
	if (packet_server_open(&server->clients, listen_fd, err) == 0 &&
	    loop_add(loop, &server->answers_source, EPOLLIN, err) == 0)
		return server;
	free(server);
	return NULL;
}

void
dns_server_free(struct dns_server **server_in)
{
	struct dns_server *server = *server_in;

	if (server == NULL)
		return;
	packet_server_close(&server->clients);
	loop_remove(server->clients.loop, &server->answers_source);
	unbound_free(&server->unbound); /* answers all that was asked */
	packet_server_end(&server->clients);
	free(server);
	*server_in = NULL;
}
