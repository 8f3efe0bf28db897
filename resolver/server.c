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
#include "base/outbox.h"
#include "base/packet.h"

enum {
	CLIENTS_MAX = 4096,
	/* Of one client, unanswered; then nothing more is taken from it. */
	QUESTIONS_MAX = 1024,
	QUESTION_BYTES = 512,
	/* Answers that a client does not read. */
	UNSENT_BYTES_MAX = 1024 * 1024
};

struct client {
	LIST_ENTRY(client) in_server;
	struct dns_server *server;
	struct loop_source source;
	unsigned questions;   /* unanswered ones: each holds the client */
	struct outbox outbox; /* answers */
	bool is_gone;
};

struct dns_server {
	struct loop *loop;
	struct unbound *unbound;
	struct loop_source listen_source, answers_source;
	LIST_HEAD(, client) clients;
	size_t client_count;
};

/* A question of a client's. */
struct asked {
	struct client *client;
	uint32_t id;
};

static void
client_free(struct client *client)
{
	outbox_release(&client->outbox);
	LIST_REMOVE(client, in_server);
	client->server->client_count--;
	free(client);
}

/* It ends when its last question is answered, to nobody. */
static void
client_leave(struct client *client)
{
	if (!client->is_gone) {
		loop_remove(client->server->loop, &client->source);
		close(client->source.fd);
		client->is_gone = true;
	}
	if (client->questions == 0)
		client_free(client);
}

static void
client_watch(struct client *client)
{
	uint32_t events = 0;

	if (client->questions < QUESTIONS_MAX)
		events |= EPOLLIN;
	if (client->outbox.count > 0)
		events |= EPOLLOUT;
	loop_change(client->server->loop, &client->source, events);
}

static void
send_answer(const struct dns_answer *answer, void *context)
{
	struct asked *asked = context;
	struct client *client = asked->client;

	client->questions--;
	if (!client->is_gone)
		dns_put_answer(outbox_add(&client->outbox), asked->id, answer);
	free(asked);
	if (client->is_gone ||
	    outbox_bytes(&client->outbox) > UNSENT_BYTES_MAX ||
	    !outbox_send(&client->outbox, client->source.fd))
		client_leave(client);
	else
		client_watch(client);
}

/* Takes one question.  0 none waits, 1 taken, -1 the client goes. */
static int
take_question(struct client *client)
{
	char packet[QUESTION_BYTES];
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
	asked = xmalloc(sizeof(*asked));
	*asked = (struct asked){ client, query.id };
	client->questions++;
	unbound_ask(client->server->unbound, query.type, query.name,
	    send_answer, asked);
	return 1;
}

static void
client_ready(uint32_t events, void *context)
{
	struct client *client = context;
	int result = 1;

	if ((events & EPOLLOUT) != 0 &&
	    !outbox_send(&client->outbox, client->source.fd))
		result = -1;
	/* An answer that comes at once may end the client: not before we do. */
	client->questions++;
	while (result == 1 && !client->is_gone &&
	    client->questions <= QUESTIONS_MAX)
		result = take_question(client);
	client->questions--;
	if (result == -1 || client->is_gone)
		client_leave(client);
	else
		client_watch(client);
}

static void
client_accepted(struct dns_server *server, int fd)
{
	struct client *client;
	struct error err;

	if (server->client_count == CLIENTS_MAX) {
		log_line("warning: %d clients are connected: another one was "
			 "refused",
		    CLIENTS_MAX);
		close(fd);
		return;
	}
	client = xcalloc(1, sizeof(*client));
	client->server = server;
	client->source = (struct loop_source){ fd, client_ready, client };
	outbox_init(&client->outbox);
	if (loop_add(server->loop, &client->source, EPOLLIN, &err) == -1) {
		log_line("warning: cannot serve a client: %s", err.text);
		close(fd);
		free(client);
		return;
	}
	LIST_INSERT_HEAD(&server->clients, client, in_server);
	server->client_count++;
}

static void
listen_ready(uint32_t events, void *context)
{
	struct dns_server *server = context;
	int fd = accept4(
	    server->listen_source.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct error err;

	(void)events;
	if (fd != -1)
		client_accepted(server, fd);
	else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
		error_sys(&err, "cannot accept a client");
		log_line("warning: %s", err.text);
		usleep(10000); /* descriptors come back with answers */
	}
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

	server->loop = loop;
	server->unbound = unbound;
	LIST_INIT(&server->clients);
	server->listen_source = (struct loop_source){ listen_fd, listen_ready,
		server };
	server->answers_source = (struct loop_source){ unbound_fd(unbound),
		answers_ready, server };
	if (loop_add(loop, &server->listen_source, EPOLLIN, err) == 0 &&
	    loop_add(loop, &server->answers_source, EPOLLIN, err) == 0)
		return server;
	free(server);
	return NULL;
}

void
dns_server_free(struct dns_server **server_in)
{
	struct dns_server *server = *server_in;
	struct client *client;

	if (server == NULL)
		return;
	loop_remove(server->loop, &server->listen_source);
	loop_remove(server->loop, &server->answers_source);
	unbound_free(&server->unbound); /* answers all that was asked */
	while ((client = LIST_FIRST(&server->clients)) != NULL)
		client_leave(client);
	free(server);
	*server_in = NULL;
}
