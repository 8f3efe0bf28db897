/* SPDX-License-Identifier: ISC */
/* The connections of clients with new mail: how they come and go. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/packet.h"
#include "queue/send_client.h"

/* Clients that are accepted before others get their turn. */
enum { CLIENTS_A_TURN = 64 };

static void
client_free(struct client *client)
{
	if (client->spare.mess_fd != -1)
		spare_give(client->send->spares, &client->spare);
	*client->link = client->next;
	if (client->next != NULL)
		client->next->link = client->link;
	buf_release(&client->envelope);
	free(client);
}

/*
 * Unread packets may hold descriptors of a stranger's, whose end can take as
 * long as he likes (SO_LINGER): he waits, in a thread of his own.
 */
static void *
close_aside(void *context)
{
	struct client *client = context;

	close(client->source.fd);
	atomic_store(&client->is_closed, true);
	return NULL;
}

static void
client_close(struct client *client)
{
	pthread_t thread;

	if (!client_is_trusted(client) && !client->send->has_no_foreign_fds &&
	    pthread_create(&thread, NULL, close_aside, client) == 0)
		pthread_detach(thread);
	else
		close_aside(client);
}

void
client_reap(struct client *client)
{
	if (client->is_gone && client->state != CLIENT_COMMITTING &&
	    atomic_load(&client->is_closed))
		client_free(client); /* else at a later tick */
}

void
client_idle(struct client *client)
{
	client->state = CLIENT_IDLE;
	if (client_is_trusted(client))
		buf_reset(&client->envelope);
	else
		buf_release(&client->envelope);
}

void
client_drop(struct client *client)
{
	loop_remove(client->send->loop, &client->source);
	client->is_gone = true;
	if (client->state != CLIENT_COMMITTING) {
		if (client->spare.mess_fd != -1)
			spare_give(client->send->spares, &client->spare);
		client_idle(client);
	}
	client_close(client);
	client_reap(client);
}

static void
intake_ready(uint32_t events, void *context)
{
	struct send *send = context;
	int turn;

	(void)events;
	for (turn = 0; turn < CLIENTS_A_TURN; turn++) {
		int fd = accept4(send->intake_source.fd, NULL, NULL,
		    SOCK_CLOEXEC | SOCK_NONBLOCK);
		struct client *client;
		uid_t uid;
		pid_t pid;

		if (fd == -1 && errno != EAGAIN) {
			/* EMFILE: they wait until the next tick. */
			log_line("warning: cannot accept a client: %m");
			loop_change(send->loop, &send->intake_source, 0);
		}
		if (fd == -1)
			return;
		if (!client_has_files(send, 1) ||
		    packet_peer(fd, &uid, &pid) == -1) {
			close(fd);
			continue;
		}
		client = xcalloc(1, sizeof(*client));
		client->send = send;
		client->uid = uid;
		client->spare = (struct spare)SPARE_NONE;
		client->source = (struct loop_source){
			.fd = fd, .ready = intake_read, .context = client
		};
		client->link = &send->clients;
		client->next = send->clients;
		if (client->next != NULL)
			client->next->link = &client->next;
		send->clients = client;
		client->active_at = clock_ms();
		if (loop_add(send->loop, &client->source, EPOLLIN, NULL) ==
			-1 ||
		    client_is_one_too_many(client))
			client_drop(client);
	}
}

void
intake_tick(struct send *send)
{
	struct client *client, *next;

	for (client = send->clients; client != NULL; client = next) {
		next = client->next;
		if (client_is_asleep(client, clock_ms(), time(NULL)))
			client_drop(client);
		else
			client_reap(client);
	}
	loop_change(send->loop, &send->intake_source, EPOLLIN);
	client_recount_files(send);
}

int
intake_open(struct send *send, struct error *err)
{
	char *path = queue_lock_path(send->dir->path, "intake");
	int fd = packet_listen(path, 0666, err); /* as qmail-queue: anybody */

	free(path);
	if (fd == -1)
		return -1;
	/* Connections have it from the listening socket. */
	send->has_no_foreign_fds = packet_refuse_fds(fd);
	send->intake_source = (struct loop_source){
		.fd = fd, .ready = intake_ready, .context = send
	};
	if (loop_add(send->loop, &send->intake_source, EPOLLIN, err) == -1)
		return -1;
	return intake_timer_open(send, err);
}

void
intake_close(struct send *send)
{
	struct client *client, *next;

	for (client = send->clients; client != NULL; client = next) {
		next = client->next;
		if (!client->is_gone)
			client_drop(client);
		else
			client_reap(client); /* or it ends with the process */
	}
	if (send->intake_source.fd > 0) {
		loop_remove(send->loop, &send->intake_source);
		close(send->intake_source.fd);
		send->intake_source.fd = -1;
	}
	intake_timer_close(send);
}
