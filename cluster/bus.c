/* SPDX-License-Identifier: ISC */
/* This node tells the others how it is, and hears them. */
#include "cluster/bus.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "cluster/state.h"

enum {
	TICK_MS = 200,
	SEND_MS = 1000,
	REOPEN_MS = 3000, /* libzmq does not try again when it was refused */
	QUEUE_MAX = 16,   /* messages that wait for one side */
	KEY_BYTES = 32,
	ZAP_FRAMES = 7,
	AT_ONCE = 64, /* messages of one node before the next one's */
	/* What is larger ends the connection before it is taken up. */
	FRAME_MAX = 4 * MESSAGE_MAX
};

/* A node's bus, by one of its keys: it has two for a while. */
struct link {
	char *node, *address;
	char key[CLUSTER_KEY_SIZE];
	void *socket;
	int64_t opened_at_ms, heard_at_ms; /* clock_ms() */
};

struct bus {
	struct state *state;
	void *context, *zap, *pub;
	struct cluster_identity identity;
	unsigned identity_version, members_version;
	struct link *links;
	size_t link_count;
	struct strlist keys; /* of all others, good now */
	uint64_t sequence;
	int64_t sent_at_ms;
	zmq_pollitem_t *items;
};

/* -- sockets */

static bool
set_option(void *socket, int option, int value)
{
	return zmq_setsockopt(socket, option, &value, sizeof(value)) == 0;
}

static void *
open_socket(struct bus *bus, int type)
{
	void *socket = zmq_socket(bus->context, type);
	int64_t max_bytes = FRAME_MAX;

	if (socket == NULL)
		return NULL;
	if (!set_option(socket, ZMQ_LINGER, 0) ||
	    !set_option(socket, ZMQ_IPV6, 1) ||
	    !set_option(socket, ZMQ_SNDHWM, QUEUE_MAX) ||
	    !set_option(socket, ZMQ_RCVHWM, QUEUE_MAX) ||
	    !set_option(socket, ZMQ_HEARTBEAT_IVL, 1000) ||
	    !set_option(socket, ZMQ_HEARTBEAT_TIMEOUT, 5000) ||
	    !set_option(socket, ZMQ_HANDSHAKE_IVL, 3000) ||
	    !set_option(socket, ZMQ_RECONNECT_IVL, 200) ||
	    !set_option(socket, ZMQ_RECONNECT_IVL_MAX, 1000) ||
	    zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &max_bytes,
		sizeof(max_bytes)) == -1) {
		zmq_close(socket);
		return NULL;
	}
	return socket;
}

static void
close_socket(void **socket)
{
	if (*socket != NULL)
		zmq_close(*socket);
	*socket = NULL;
}

static void
note_bus(struct bus *bus, const char *reason)
{
	struct state *state = bus->state;

	if (strcmp(state->bus_reason, reason) != 0) {
		if (*reason != '\0')
			log_line("warning: %s: it is tried again", reason);
		else
			log_line("status: the others hear this node at '%s'",
			    state->bus_address);
	}
	pthread_mutex_lock(&state->lock);
	snprintf(
	    state->bus_reason, sizeof(state->bus_reason), "%s", reason);
	pthread_mutex_unlock(&state->lock);
}

/* Tried at each tick until it works: the one before may not be closed yet. */
static void
open_pub(struct bus *bus)
{
	char reason[512] = "";

	bus->pub = open_socket(bus, ZMQ_PUB);
	if (bus->pub == NULL || !set_option(bus->pub, ZMQ_CURVE_SERVER, 1) ||
	    zmq_setsockopt(bus->pub, ZMQ_ZAP_DOMAIN, "cluster", 7) == -1 ||
	    zmq_setsockopt(bus->pub, ZMQ_CURVE_SECRETKEY,
		bus->identity.secret_key, CLUSTER_KEY_SIZE) == -1 ||
	    zmq_bind(bus->pub, bus->state->bus_address) == -1) {
		snprintf(reason, sizeof(reason),
		    "cannot listen on '%s' for the bus: %s",
		    bus->state->bus_address, zmq_strerror(zmq_errno()));
		close_socket(&bus->pub);
	}
	note_bus(bus, reason);
}

static void
open_link(struct bus *bus, struct link *link)
{
	link->opened_at_ms = clock_ms();
	link->socket = open_socket(bus, ZMQ_SUB);
	if (link->socket == NULL ||
	    zmq_setsockopt(link->socket, ZMQ_CURVE_SERVERKEY, link->key,
		CLUSTER_KEY_SIZE) == -1 ||
	    zmq_setsockopt(link->socket, ZMQ_CURVE_PUBLICKEY,
		bus->identity.public_key, CLUSTER_KEY_SIZE) == -1 ||
	    zmq_setsockopt(link->socket, ZMQ_CURVE_SECRETKEY,
		bus->identity.secret_key, CLUSTER_KEY_SIZE) == -1 ||
	    zmq_setsockopt(link->socket, ZMQ_SUBSCRIBE, "", 0) == -1 ||
	    zmq_connect(link->socket, link->address) == -1)
		close_socket(&link->socket);
}

static void
release_link(struct link *link)
{
	close_socket(&link->socket);
	free(link->node);
	free(link->address);
}

/* -- who is there */

static bool
has_bus(const struct bus *bus, const struct member *member)
{
	return !member->is_revoked && member->bus_port != 0 &&
	    strcmp(member->role, "legacy") != 0 &&
	    strcmp(member->name, bus->identity.name) != 0;
}

static void
add_link(struct bus *bus, struct link **links, size_t *count,
    const struct member *member, const char *key)
{
	bool is_ipv6 = strchr(member->host, ':') != NULL;
	OWN_TEXT address = xasprintf(is_ipv6 ? "tcp://[%s]:%u" : "tcp://%s:%u",
	    member->host, member->bus_port);
	struct link link = { .node = NULL };

	if (strlen(key) != CLUSTER_KEY_SIZE - 1)
		return;
	*links = mem_room(*links, *count, sizeof(**links));
	for (size_t i = 0; i < bus->link_count; i++) {
		struct link *old = &bus->links[i];

		if (old->node == NULL || strcmp(old->node, member->name) != 0 ||
		    strcmp(old->address, address) != 0 ||
		    strcmp(old->key, key) != 0)
			continue;
		(*links)[(*count)++] = *old;
		*old = link;
		return;
	}
	link.node = xstrdup(member->name);
	link.address = xstrdup(address);
	memcpy(link.key, key, CLUSTER_KEY_SIZE);
	(*links)[(*count)++] = link;
}

/* Is a key that was good none any more? */
static bool
lost_key(const struct strlist *before, const struct strlist *now)
{
	for (size_t i = 0; i < before->count; i++)
		if (!strlist_has(now, before->items[i]))
			return true;
	return false;
}

/* The links that the rows ask for; those that stay are left as they are. */
static void
take_rows(struct bus *bus)
{
	struct state *state = bus->state;
	struct strlist keys = { .count = 0 };
	struct link *links = NULL;
	size_t count = 0;

	pthread_mutex_lock(&state->lock);
	bus->members_version = state->members_version;
	for (size_t i = 0; i < state->member_count; i++) {
		const struct member *member = &state->members[i];

		for (size_t k = 0;
		     has_bus(bus, member) && k < member->keys.count; k++) {
			strlist_add(&keys, member->keys.items[k]);
			add_link(bus, &links, &count, member,
			    member->keys.items[k]);
		}
	}
	pthread_mutex_unlock(&state->lock);
	for (size_t i = 0; i < bus->link_count; i++)
		release_link(&bus->links[i]);
	free(bus->links);
	bus->links = links;
	bus->link_count = count;
	for (size_t i = 0; i < count; i++)
		if (links[i].socket == NULL)
			open_link(bus, &links[i]);
	/* Connections that exist are asked for no key again. */
	if (lost_key(&bus->keys, &keys))
		close_socket(&bus->pub);
	strlist_release(&bus->keys);
	bus->keys = keys;
}

/* New keys of our own: everything anew. */
static void
take_identity(struct bus *bus)
{
	struct state *state = bus->state;

	pthread_mutex_lock(&state->lock);
	bus->identity = state->identity;
	bus->identity_version = state->identity_version;
	pthread_mutex_unlock(&state->lock);
	close_socket(&bus->pub);
	for (size_t i = 0; i < bus->link_count; i++) {
		close_socket(&bus->links[i].socket);
		open_link(bus, &bus->links[i]);
	}
}

static void
reopen_links(struct bus *bus, int64_t now_ms)
{
	for (size_t i = 0; i < bus->link_count; i++) {
		struct link *link = &bus->links[i];

		if (now_ms - link->heard_at_ms < REOPEN_MS ||
		    now_ms - link->opened_at_ms < REOPEN_MS)
			continue;
		close_socket(&link->socket);
		open_link(bus, link);
	}
}

/* -- who may connect (ZeroMQ RFC 27) */

static bool
is_known_key(const struct bus *bus, const void *key, size_t length)
{
	char text[CLUSTER_KEY_SIZE];

	return length == KEY_BYTES && zmq_z85_encode(text, key, length) != NULL &&
	    strlist_has(&bus->keys, text);
}

static size_t
receive_frames(void *socket, zmq_msg_t *frames, size_t max)
{
	size_t count = 0;
	bool has_more = true;

	while (has_more) {
		zmq_msg_t frame;

		zmq_msg_init(&frame);
		if (zmq_msg_recv(&frame, socket, ZMQ_DONTWAIT) == -1) {
			zmq_msg_close(&frame);
			break;
		}
		has_more = zmq_msg_more(&frame);
		if (count < max)
			frames[count] = frame;
		else
			zmq_msg_close(&frame);
		count++;
	}
	return count;
}

static void
close_frames(zmq_msg_t *frames, size_t count, size_t max)
{
	for (size_t i = 0; i < count && i < max; i++)
		zmq_msg_close(&frames[i]);
}

static void
answer_zap(struct bus *bus)
{
	zmq_msg_t frames[ZAP_FRAMES];
	size_t count = receive_frames(bus->zap, frames, ZAP_FRAMES);
	bool is_known;

	if (count == 0)
		return;
	is_known = count == ZAP_FRAMES && zmq_msg_size(&frames[5]) == 5 &&
	    memcmp(zmq_msg_data(&frames[5]), "CURVE", 5) == 0 &&
	    is_known_key(bus, zmq_msg_data(&frames[6]),
		zmq_msg_size(&frames[6]));
	if (!is_known)
		log_line("warning: refused one with a key that no node has, "
			 "from %.*s",
		    count > 3 ? (int)zmq_msg_size(&frames[3]) : 0,
		    count > 3 ? (const char *)zmq_msg_data(&frames[3]) : "");
	zmq_send(bus->zap, "1.0", 3, ZMQ_SNDMORE);
	zmq_send(bus->zap, count > 1 ? zmq_msg_data(&frames[1]) : "",
	    count > 1 ? zmq_msg_size(&frames[1]) : 0, ZMQ_SNDMORE);
	zmq_send(bus->zap, is_known ? "200" : "400", 3, ZMQ_SNDMORE);
	zmq_send(bus->zap, "", 0, ZMQ_SNDMORE);
	zmq_send(bus->zap, "", 0, ZMQ_SNDMORE);
	zmq_send(bus->zap, "", 0, 0);
	close_frames(frames, count, ZAP_FRAMES);
}

/* -- messages */

/* Under the lock: it belongs to the node of the link.  Takes the message. */
static enum message_fault
take_message(struct state *state, struct link *link, struct message *message)
{
	struct member *member = state_find_member(state, link->node);
	enum message_fault fault;

	if (member == NULL || strcmp(member->name, message->node) != 0)
		return MESSAGE_OTHER_NODE;
	/* Of who was its holder before. */
	if (message->epoch != 0 && message->epoch < member->epoch)
		return MESSAGE_OLD;
	fault = message_judge(&member->last, message);
	if (fault != MESSAGE_FINE)
		return fault;
	if (member->last.sequence != 0 &&
	    uuid_is_equal(&member->last.instance, &message->instance))
		member->missed +=
		    message->sequence - member->last.sequence - 1;
	message_release(&member->last);
	member->last = *message;
	message->health = NULL;
	member->received++;
	member->heard_at_ms = clock_boot_ms();
	link->heard_at_ms = clock_ms();
	return MESSAGE_FINE;
}

static void
receive_message(struct bus *bus, struct link *link, zmq_msg_t *frame,
    size_t frame_count)
{
	struct state *state = bus->state;
	struct message message = { .health = NULL };
	enum message_fault fault = frame_count != 1
	    ? MESSAGE_NOT_JSON
	    : message_read(zmq_msg_data(frame), zmq_msg_size(frame), &message);

	pthread_mutex_lock(&state->lock);
	if (fault == MESSAGE_FINE)
		fault = take_message(state, link, &message);
	state->faults[fault]++;
	/* The first, and then each time that there are ten times as many. */
	if (fault != MESSAGE_FINE && state->faults[fault] == 1)
		log_line("warning: a message from node %s is dropped: %s",
		    link->node, message_fault_name(fault));
	pthread_mutex_unlock(&state->lock);
	message_release(&message);
}

static void
receive_messages(struct bus *bus, struct link *link)
{
	for (int i = 0; i < AT_ONCE; i++) {
		zmq_msg_t frame;
		size_t count = receive_frames(link->socket, &frame, 1);

		if (count == 0)
			return;
		receive_message(bus, link, &frame, count);
		close_frames(&frame, count, 1);
	}
}

/* Who was refused has the name of another, who speaks for himself. */
static void
send_message(struct bus *bus)
{
	struct state *state = bus->state;
	AUTO(buf_release) struct buf text = BUF_INIT;
	struct message message = { .version = CLUSTER_PROTOCOL,
		.instance = state->instance,
		.sequence = bus->sequence + 1,
		.at_ms = clock_wall_ms() };
	int result = -1;

	pthread_mutex_lock(&state->lock);
	memcpy(message.node, state->name, sizeof(message.node));
	message.epoch = state->hold == HOLD_HELD ? state->epoch : 0;
	message.health = state->health;
	if (state->health != NULL && state->hold != HOLD_REFUSED)
		result = message_write(&message, &text);
	if (result == 0)
		state->sent++;
	pthread_mutex_unlock(&state->lock);
	if (result == 0 &&
	    zmq_send(bus->pub, text.data, text.length, ZMQ_DONTWAIT) != -1)
		bus->sequence++;
}

/* -- the thread */

static void
wait_for_bus(struct bus *bus)
{
	size_t count = bus->link_count;

	bus->items = xrealloc(bus->items, (count + 2) * sizeof(*bus->items));
	bus->items[0] = (zmq_pollitem_t){ NULL, bus->state->bus_fd, ZMQ_POLLIN,
		0 };
	bus->items[1] = (zmq_pollitem_t){ bus->zap, 0, ZMQ_POLLIN, 0 };
	/* One without a socket stands for nothing: that of ZAP again. */
	for (size_t i = 0; i < count; i++)
		bus->items[2 + i] = (zmq_pollitem_t){
			bus->links[i].socket != NULL ? bus->links[i].socket
						     : bus->zap,
			0, ZMQ_POLLIN, 0
		};
	if (zmq_poll(bus->items, (int)(count + 2), TICK_MS) <= 0)
		return;
	state_awake(bus->state->bus_fd);
	answer_zap(bus);
	for (size_t i = 0; i < count; i++)
		if (bus->links[i].socket != NULL &&
		    (bus->items[2 + i].revents & ZMQ_POLLIN) != 0)
			receive_messages(bus, &bus->links[i]);
}

static void
do_tick(struct bus *bus)
{
	struct state *state = bus->state;
	int64_t now_ms = clock_ms();
	bool has_new_rows, has_new_identity;

	pthread_mutex_lock(&state->lock);
	state_judge_members(state, clock_boot_ms());
	has_new_rows = bus->members_version != state->members_version;
	has_new_identity = bus->identity_version != state->identity_version;
	pthread_mutex_unlock(&state->lock);
	if (has_new_identity)
		take_identity(bus);
	if (has_new_rows)
		take_rows(bus);
	reopen_links(bus, now_ms);
	if (bus->pub == NULL)
		open_pub(bus);
	if (bus->pub != NULL && now_ms - bus->sent_at_ms >= SEND_MS) {
		bus->sent_at_ms = now_ms;
		send_message(bus);
	}
}

struct bus *
bus_new(struct state *state, struct error *err)
{
	struct bus *bus = xcalloc(1, sizeof(*bus));

	bus->state = state;
	bus->context = zmq_ctx_new();
	/* With the first socket libzmq starts its threads. */
	bus->zap = bus->context == NULL ? NULL
					: zmq_socket(bus->context, ZMQ_REP);
	/* Before anybody can connect. */
	if (bus->zap != NULL && set_option(bus->zap, ZMQ_LINGER, 0) &&
	    zmq_bind(bus->zap, "inproc://zeromq.zap.01") == 0)
		return bus;
	error_set(err, "cannot begin with ZeroMQ: %s",
	    zmq_strerror(zmq_errno()));
	bus_free(&bus);
	return NULL;
}

void
bus_free(struct bus **bus_in)
{
	struct bus *bus = *bus_in;

	*bus_in = NULL;
	for (size_t i = 0; i < bus->link_count; i++)
		release_link(&bus->links[i]);
	free(bus->links);
	free(bus->items);
	strlist_release(&bus->keys);
	close_socket(&bus->pub);
	close_socket(&bus->zap);
	if (bus->context != NULL)
		zmq_ctx_term(bus->context);
	cluster_identity_release(&bus->identity);
	free(bus);
}

void *
bus_run(void *context)
{
	struct bus *bus = context;

	while (!bus->state->is_stopping) {
		do_tick(bus);
		wait_for_bus(bus);
	}
	return NULL;
}
