/* SPDX-License-Identifier: ISC */
/*
 * The clients of a socket of packets (packet.h), served by a loop: accepted,
 * watched, and ended when nothing of theirs is under way any more.  Used by the
 * loop's thread.
 */
#ifndef BASE_PACKET_SERVER_H
#define BASE_PACKET_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/error.h"
#include "base/loop.h"
#include "base/outbox.h"

/* The first member of a server's own struct of a client. */
struct packet_client {
	LIST_ENTRY(packet_client) in_server;
	struct packet_server *server;
	struct loop_source source;
	struct outbox outbox; /* answers */
	unsigned holds;       /* what is under way for it, and needs it */
	bool is_gone;
};

struct packet_server {
	/* Set by the caller, before packet_server_open(). */
	struct loop *loop;
	size_t client_size;   /* of the server's own struct, zeroed at first */
	unsigned clients_max; /* more are refused */
	/* Of a new client: false refuses it; or NULL. */
	bool (*admit)(struct packet_client *client);
	void (*ready)(uint32_t events, void *client); /* of the loop */

	struct loop_source listen_source;
	LIST_HEAD(, packet_client) clients;
	unsigned client_count;
};

/* Serves those who connect to listen_fd, which stays the caller's.  0 or -1. */
int packet_server_open(
    struct packet_server *server, int listen_fd, struct error *err);
/* Accepts no more. */
void packet_server_close(struct packet_server *server);
/* All clients leave; nothing of theirs may be under way. */
void packet_server_end(struct packet_server *server);

/* It ends with the last thing that holds it; perhaps now. */
void packet_client_leave(struct packet_client *client);
/* Is there room for more of its packets?  Or are answers to be sent? */
void packet_client_watch(struct packet_client *client, bool takes_more);

#endif
