/* SPDX-License-Identifier: ISC */
/* Other nodes ask by ZeroMQ. */
#include "lookupd/gateway.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zmq.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/packet.h"
#include "base/signals.h"
#include "lookupd/query.h"

enum {
	KEY_TEXT = 41, /* of a key in Z85, with its NUL */
	KEY_BYTES = 32,
	NAME_MAX_BYTES = 64,
	ROUTING_MAX = 255,
	ENDPOINTS_MAX = 16,
	/* Of all peers, unanswered; what is more is dropped. */
	ASKED_MAX = 200,
	/* Messages that wait in ZeroMQ for each peer. */
	QUEUE_MAX = 256,
	WAIT_MS = 30000, /* for one who names no deadline */
	TICK_MS = 1000,
	SOCKET_MS = 5000,
	ZAP_FRAMES = 7,
	ID_AT = 1, /* in packets, behind the version */
	DEADLINE_AT = 5
};

struct peer {
	char *name;
	uint8_t key[KEY_BYTES];
};

struct endpoint {
	char *address; /* tcp://... */
	char secret[KEY_TEXT];
	void *socket;
};

/* A request that lookupd has; its id there is the place in the list. */
struct asked {
	bool is_used;
	size_t endpoint;
	uint8_t routing[ROUTING_MAX];
	size_t routing_length;
	uint32_t number; /* here: the place, and what tells its users apart */
	uint32_t id;     /* the peer's */
	int64_t end_ms;
	size_t left; /* answers */
};

struct gateway {
	char *socket_path;
	struct endpoint endpoints[ENDPOINTS_MAX];
	size_t endpoint_count;
	struct peer *peers;
	size_t peer_count;
	void *context, *zap;
	int stop_fd, lookup_fd; /* lookup_fd: -1 while not connected */
	pthread_t thread;
	bool is_started;
	struct asked asked[ASKED_MAX];
	struct query_request request; /* the one in hand */
	struct query_answers answers;
	char packet[PACKET_MAX];
};

/* -- settings */

/* A secret key from its file.  0 or -1. */
static int
read_key(const char *path, char key_out[KEY_TEXT], struct error *err)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	char public[KEY_TEXT];
	int result = file_read(path, KEY_TEXT + 1, &text, err);

	if (result == 0)
		return error_set(err,
		    "'%s' is missing: 'lookupd --make-key %s' makes a key",
		    path, path);
	if (result == -1)
		return -1;
	text.data[strcspn(text.data, "\r\n")] = '\0';
	snprintf(key_out, KEY_TEXT, "%.40s", text.data);
	explicit_bzero(text.data, text.length);
	return strlen(key_out) == KEY_TEXT - 1 &&
		zmq_curve_public(public, key_out) == 0
	    ? 0
	    : error_set(err, "'%s' has no key of 40 characters", path);
}

/* ADDRESS:PORT KEYFILE */
static int
take_endpoint(struct gateway *gateway, const char *line, struct error *err)
{
	size_t length = strcspn(line, " \t");
	const char *path = line + length + strspn(line + length, " \t");
	struct endpoint *endpoint;

	if (gateway->endpoint_count == ENDPOINTS_MAX)
		return error_set(
		    err, "lookuplisten has more than %d lines", ENDPOINTS_MAX);
	endpoint = &gateway->endpoints[gateway->endpoint_count++];
	endpoint->address = xasprintf("tcp://%.*s", (int)length, line);
	return read_key(path, endpoint->secret, err);
}

/* NAME PUBLICKEY */
static int
take_peer(struct gateway *gateway, const char *line, struct error *err)
{
	size_t length = strcspn(line, " \t");
	const char *key = line + length + strspn(line + length, " \t");
	struct peer *peer = &gateway->peers[gateway->peer_count++];

	peer->name = xstrndup(line, length);
	if (length == 0 || length > NAME_MAX_BYTES ||
	    strlen(key) != KEY_TEXT - 1 ||
	    zmq_z85_decode(peer->key, key) == NULL)
		return error_set(err,
		    "lookuppeers: '%.64s' has no public key of 40 characters "
		    "behind its name",
		    peer->name);
	return 0;
}

struct gateway *
gateway_new(const struct strlist *listen, const struct strlist *peers,
    const char *socket_path, struct error *err)
{
	struct gateway *gateway = xcalloc(1, sizeof(*gateway));
	int result = 0;

	gateway->socket_path = xstrdup(socket_path);
	gateway->stop_fd = gateway->lookup_fd = -1;
	gateway->peers = xcalloc(peers->count + 1, sizeof(*gateway->peers));
	for (size_t i = 0; i < listen->count && result == 0; i++)
		result = take_endpoint(gateway, listen->items[i], err);
	for (size_t i = 0; i < peers->count && result == 0; i++)
		result = take_peer(gateway, peers->items[i], err);
	if (result == -1)
		gateway_free(&gateway);
	return gateway;
}

int
gateway_make_key(const char *path, struct error *err)
{
	char public[KEY_TEXT], secret[KEY_TEXT];
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int result = 0;

	if (fd == -1)
		return error_sys(err, "cannot make '%s'", path);
	if (zmq_curve_keypair(public, secret) == -1)
		result = error_set(err, "this ZeroMQ has no CURVE");
	else if (dprintf(fd, "%s\n", secret) != KEY_TEXT || fsync(fd) == -1)
		result = error_sys(err, "cannot write '%s'", path);
	explicit_bzero(secret, sizeof(secret));
	close(fd);
	if (result == 0)
		puts(public);
	return result;
}

/* -- who may connect (ZeroMQ RFC 27) */

static const struct peer *
find_peer_by_key(const struct gateway *gateway, const void *key, size_t length)
{
	for (size_t i = 0; i < gateway->peer_count; i++)
		if (length == KEY_BYTES &&
		    memcmp(gateway->peers[i].key, key, KEY_BYTES) == 0)
			return &gateway->peers[i];
	return NULL;
}

static void
answer_zap(struct gateway *gateway)
{
	zmq_msg_t frames[ZAP_FRAMES];
	const struct peer *peer = NULL;
	size_t count = 0, request_length;
	char request[256];
	bool has_more = true;

	while (has_more) {
		zmq_msg_t *frame = &frames[count < ZAP_FRAMES ? count : 0];

		if (count >= ZAP_FRAMES)
			zmq_msg_close(frame);
		zmq_msg_init(frame);
		if (zmq_msg_recv(frame, gateway->zap, ZMQ_DONTWAIT) == -1) {
			zmq_msg_close(frame);
			break;
		}
		has_more = zmq_msg_more(frame);
		count++;
	}
	if (count == 0)
		return;
	if (count == ZAP_FRAMES && zmq_msg_size(&frames[5]) == 5 &&
	    memcmp(zmq_msg_data(&frames[5]), "CURVE", 5) == 0)
		peer = find_peer_by_key(gateway, zmq_msg_data(&frames[6]),
		    zmq_msg_size(&frames[6]));
	request_length = count > 1 ? zmq_msg_size(&frames[1]) : 0;
	if (request_length > sizeof(request))
		request_length = 0;
	if (request_length > 0)
		memcpy(request, zmq_msg_data(&frames[1]), request_length);
	for (size_t i = 0; i < count && i < ZAP_FRAMES; i++)
		zmq_msg_close(&frames[i]);
	zmq_send(gateway->zap, "1.0", 3, ZMQ_SNDMORE);
	zmq_send(gateway->zap, request, request_length, ZMQ_SNDMORE);
	zmq_send(gateway->zap, peer != NULL ? "200" : "400", 3, ZMQ_SNDMORE);
	zmq_send(gateway->zap, "", 0, ZMQ_SNDMORE);
	zmq_send(gateway->zap, peer != NULL ? peer->name : "",
	    peer != NULL ? strlen(peer->name) : 0, ZMQ_SNDMORE);
	zmq_send(gateway->zap, "", 0, 0);
}

/* -- requests */

static void
forget_asked(struct gateway *gateway)
{
	for (size_t i = 0; i < ASKED_MAX; i++)
		gateway->asked[i].is_used = false;
}

static bool
connect_lookup(struct gateway *gateway)
{
	struct error err;

	if (gateway->lookup_fd != -1)
		return true;
	forget_asked(gateway);
	gateway->lookup_fd = packet_connect_within(
	    gateway->socket_path, SOCKET_MS, &err);
	return gateway->lookup_fd != -1;
}

static void
drop_lookup(struct gateway *gateway)
{
	file_close(&gateway->lookup_fd);
}

static struct asked *
find_free(struct gateway *gateway, uint32_t *number_out)
{
	int64_t now_ms = clock_ms();

	for (uint32_t i = 0; i < ASKED_MAX; i++)
		if (!gateway->asked[i].is_used ||
		    gateway->asked[i].end_ms < now_ms) {
			*number_out = i;
			return &gateway->asked[i];
		}
	return NULL;
}

/* Hands a peer's request to the loop; what cannot be taken is dropped. */
static void
pass_request(struct gateway *gateway, size_t endpoint, zmq_msg_t *routing,
    const void *data, size_t length)
{
	struct query_request *request = &gateway->request;
	int64_t now_ms = clock_ms();
	uint32_t number, wire_number;
	uint64_t wire_deadline;
	struct asked *asked;

	if (length > PACKET_MAX || zmq_msg_size(routing) > ROUTING_MAX ||
	    !query_get_request(data, length, request) ||
	    !connect_lookup(gateway))
		return;
	asked = find_free(gateway, &number);
	if (asked == NULL)
		return;
	if (request->deadline_ms == 0 || request->deadline_ms > WAIT_MS)
		request->deadline_ms = WAIT_MS;
	asked->end_ms = now_ms + (int64_t)request->deadline_ms;
	memcpy(gateway->packet, data, length);
	/* A late answer to who had the place before is none of this one's. */
	number |= (uint32_t)now_ms << 8;
	wire_number = htole32(number);
	wire_deadline = htole64((uint64_t)asked->end_ms);
	memcpy(gateway->packet + ID_AT, &wire_number, sizeof(wire_number));
	memcpy(gateway->packet + DEADLINE_AT, &wire_deadline,
	    sizeof(wire_deadline));
	if (packet_send(gateway->lookup_fd, gateway->packet, length, -1,
		MSG_DONTWAIT) == -1) {
		if (errno != EAGAIN)
			drop_lookup(gateway);
		return;
	}
	asked->is_used = true;
	asked->endpoint = endpoint;
	asked->number = number;
	asked->id = request->id;
	asked->left = request->count;
	asked->routing_length = zmq_msg_size(routing);
	memcpy(asked->routing, zmq_msg_data(routing), asked->routing_length);
}

/* The name in the message is that of the key, as ZAP said. */
static bool
is_named_right(zmq_msg_t *name)
{
	const char *user = zmq_msg_gets(name, "User-Id");

	return user != NULL && strlen(user) == zmq_msg_size(name) &&
	    memcmp(user, zmq_msg_data(name), zmq_msg_size(name)) == 0;
}

/* Frames: where the answer goes, the asking node's name, the request. */
static bool
take_message(struct gateway *gateway, size_t endpoint)
{
	void *socket = gateway->endpoints[endpoint].socket;
	zmq_msg_t frames[3], extra;
	size_t count = 0;
	bool has_more = true;

	while (has_more) {
		zmq_msg_t *frame = count < 3 ? &frames[count] : &extra;

		zmq_msg_init(frame);
		if (zmq_msg_recv(frame, socket, ZMQ_DONTWAIT) == -1) {
			zmq_msg_close(frame);
			break;
		}
		has_more = zmq_msg_more(frame);
		if (count++ >= 3)
			zmq_msg_close(frame);
	}
	if (count == 3 && is_named_right(&frames[1]))
		pass_request(gateway, endpoint, &frames[0],
		    zmq_msg_data(&frames[2]), zmq_msg_size(&frames[2]));
	for (size_t i = 0; i < count && i < 3; i++)
		zmq_msg_close(&frames[i]);
	return count > 0;
}

/* An answer of the loop goes to who asked; if that takes none, to nobody. */
static void
take_answer(struct gateway *gateway)
{
	struct query_answers *answers = &gateway->answers;
	struct asked *asked;
	uint32_t wire_id;
	void *socket;
	int passed_fd;
	ssize_t n = packet_receive(gateway->lookup_fd, gateway->packet,
	    sizeof(gateway->packet), &passed_fd, MSG_DONTWAIT);

	if (n == -1 && errno == EAGAIN)
		return;
	if (n <= 0 ||
	    !query_get_answers(gateway->packet, (size_t)n, answers)) {
		drop_lookup(gateway);
		return;
	}
	asked = &gateway->asked[(answers->id & 0xff) % ASKED_MAX];
	if (!asked->is_used || asked->number != answers->id ||
	    answers->count > asked->left)
		return;
	asked->left -= answers->count;
	asked->is_used = asked->left > 0;
	wire_id = htole32(asked->id);
	memcpy(gateway->packet + ID_AT, &wire_id, sizeof(wire_id));
	socket = gateway->endpoints[asked->endpoint].socket;
	if (zmq_send(socket, asked->routing, asked->routing_length,
		ZMQ_SNDMORE | ZMQ_DONTWAIT) != -1)
		zmq_send(socket, gateway->packet, (size_t)n, ZMQ_DONTWAIT);
}

static void *
run_gateway(void *context)
{
	struct gateway *gateway = context;
	zmq_pollitem_t items[ENDPOINTS_MAX + 3];
	size_t count = gateway->endpoint_count;

	for (;;) {
		items[0] = (zmq_pollitem_t){ NULL, gateway->stop_fd,
			ZMQ_POLLIN, 0 };
		items[1] = (zmq_pollitem_t){ gateway->zap, 0, ZMQ_POLLIN, 0 };
		for (size_t i = 0; i < count; i++)
			items[2 + i] = (zmq_pollitem_t){
				gateway->endpoints[i].socket, 0, ZMQ_POLLIN, 0
			};
		items[2 + count] = (zmq_pollitem_t){ NULL, gateway->lookup_fd,
			ZMQ_POLLIN, 0 };
		if (zmq_poll(items,
			(int)(2 + count + (gateway->lookup_fd != -1)),
			TICK_MS) == -1)
			continue;
		if ((items[0].revents & ZMQ_POLLIN) != 0)
			return NULL;
		if ((items[1].revents & ZMQ_POLLIN) != 0)
			answer_zap(gateway);
		if (gateway->lookup_fd != -1 && items[2 + count].revents != 0)
			take_answer(gateway);
		for (size_t i = 0; i < count; i++)
			if ((items[2 + i].revents & ZMQ_POLLIN) != 0)
				take_message(gateway, i);
	}
}

/* -- its sockets */

static bool
set_number(void *socket, int option, int value)
{
	return zmq_setsockopt(socket, option, &value, sizeof(value)) == 0;
}

static int
open_endpoint(
    struct gateway *gateway, struct endpoint *endpoint, struct error *err)
{
	void *socket = zmq_socket(gateway->context, ZMQ_ROUTER);
	int64_t max_bytes = PACKET_MAX;

	endpoint->socket = socket;
	if (socket == NULL || !set_number(socket, ZMQ_LINGER, 0) ||
	    !set_number(socket, ZMQ_IPV6, 1) ||
	    !set_number(socket, ZMQ_ROUTER_MANDATORY, 1) ||
	    !set_number(socket, ZMQ_SNDHWM, QUEUE_MAX) ||
	    !set_number(socket, ZMQ_RCVHWM, QUEUE_MAX) ||
	    !set_number(socket, ZMQ_HEARTBEAT_IVL, 10000) ||
	    !set_number(socket, ZMQ_HEARTBEAT_TIMEOUT, 30000) ||
	    !set_number(socket, ZMQ_HANDSHAKE_IVL, 10000) ||
	    !set_number(socket, ZMQ_CURVE_SERVER, 1) ||
	    zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &max_bytes,
		sizeof(max_bytes)) == -1 ||
	    zmq_setsockopt(socket, ZMQ_ZAP_DOMAIN, "lookup", 6) == -1 ||
	    zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, endpoint->secret,
		KEY_TEXT) == -1)
		return error_set(err, "cannot make a socket of ZeroMQ: %s",
		    zmq_strerror(zmq_errno()));
	if (zmq_bind(socket, endpoint->address) == -1)
		return error_set(err, "cannot listen on '%s': %s",
		    endpoint->address, zmq_strerror(zmq_errno()));
	return 0;
}

int
gateway_start(struct gateway *gateway, struct error *err)
{
	gateway->stop_fd = eventfd(0, EFD_CLOEXEC);
	gateway->context = zmq_ctx_new();
	gateway->zap = zmq_socket(gateway->context, ZMQ_REP);
	/* Before anybody can connect. */
	if (gateway->stop_fd == -1 || gateway->zap == NULL ||
	    !set_number(gateway->zap, ZMQ_LINGER, 0) ||
	    zmq_bind(gateway->zap, "inproc://zeromq.zap.01") == -1)
		return error_set(err, "cannot begin with ZeroMQ");
	for (size_t i = 0; i < gateway->endpoint_count; i++)
		if (open_endpoint(gateway, &gateway->endpoints[i], err) == -1)
			return -1;
	if (thread_start(&gateway->thread, run_gateway, gateway) == -1)
		return error_sys(err, "cannot start a thread");
	gateway->is_started = true;
	return 0;
}

void
gateway_free(struct gateway **gateway_in)
{
	struct gateway *gateway = *gateway_in;
	const uint64_t one = 1;

	if (gateway == NULL)
		return;
	if (gateway->is_started &&
	    write(gateway->stop_fd, &one, sizeof(one)) == sizeof(one))
		pthread_join(gateway->thread, NULL);
	for (size_t i = 0; i < gateway->endpoint_count; i++) {
		if (gateway->endpoints[i].socket != NULL)
			zmq_close(gateway->endpoints[i].socket);
		explicit_bzero(gateway->endpoints[i].secret, KEY_TEXT);
		free(gateway->endpoints[i].address);
	}
	if (gateway->zap != NULL)
		zmq_close(gateway->zap);
	if (gateway->context != NULL)
		zmq_ctx_term(gateway->context);
	file_close(&gateway->stop_fd);
	file_close(&gateway->lookup_fd);
	for (size_t i = 0; i < gateway->peer_count; i++)
		free(gateway->peers[i].name);
	free(gateway->peers);
	free(gateway->socket_path);
	free(gateway);
	*gateway_in = NULL;
}
