/* SPDX-License-Identifier: ISC */
/* The clients of a socket of packets. */
#include "base/packet_server.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"

static void
free_packet_client(struct packet_client *client)
{
	outbox_release(&client->outbox);
	LIST_REMOVE(client, in_server);
	client->server->client_count--;
	free(client);
}

void
packet_client_leave(struct packet_client *client)
{
	if (!client->is_gone) {
		loop_remove(client->server->loop, &client->source);
		close(client->source.fd);
		client->is_gone = true;
	}
	if (client->holds == 0)
		free_packet_client(client);
}

void
packet_client_watch(struct packet_client *client, bool takes_more)
{
	uint32_t events = 0;

	if (takes_more)
		events |= EPOLLIN;
	if (client->outbox.count > 0)
		events |= EPOLLOUT;
	loop_change(client->server->loop, &client->source, events);
}

static void
accept_packet_client(struct packet_server *server, int fd)
{
	struct packet_client *client;
	struct error err;

	if (server->client_count == server->clients_max) {
		log_line("warning: %u clients are connected: another one was "
			 "refused",
		    server->clients_max);
		close(fd);
		return;
	}
	client = xcalloc(1, server->client_size);
	client->server = server;
	client->source = (struct loop_source){ fd, server->ready, client };
	if (server->admit != NULL && !server->admit(client)) {
		close(fd);
		free(client);
		return;
	}
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
accept_ready(uint32_t events, void *context)
{
	struct packet_server *server = context;
	int fd = accept4(
	    server->listen_source.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct error err;

	(void)events;
	if (fd != -1)
		accept_packet_client(server, fd);
	else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
		error_sys(&err, "cannot accept a client");
		log_line("warning: %s", err.text);
		usleep(10000); /* descriptors come back with answers */
	}
}

int
packet_server_open(
    struct packet_server *server, int listen_fd, struct error *err)
{
	LIST_INIT(&server->clients);
	server->listen_source = (struct loop_source){ listen_fd, accept_ready,
		server };
	return loop_add(server->loop, &server->listen_source, EPOLLIN, err);
}

void
packet_server_close(struct packet_server *server)
{
	loop_remove(server->loop, &server->listen_source);
}

void
packet_server_end(struct packet_server *server)
{
	struct packet_client *client;

	while ((client = LIST_FIRST(&server->clients)) != NULL)
		packet_client_leave(client);
}
