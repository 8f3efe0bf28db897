/* SPDX-License-Identifier: ISC */
/* Delivery workers: their connections, and what they say (queue/job.h). */
#include "queue/send_worker.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/log_text.h"
#include "base/mem.h"
#include "base/packet.h"
#include "control/identity.h"
#include "control/layout.h"

enum { PACKETS_A_TURN = 256, REMOTE_CONNECT_MS = 100 };

static enum lane_kind
kind_of_channel(enum job_channel channel)
{
	switch (channel) {
	case JOB_VIRTUAL:
		break;
	case JOB_LOCAL:
		return LANE_LOCAL;
	case JOB_REMOTE:
		return LANE_REMOTE;
	}
	return LANE_VIRTUAL;
}

/* What a worker had in hand may or may not be delivered: try it again. */
static void
worker_drop(struct worker *worker)
{
	struct send *send = worker->send;

	loop_remove(send->loop, &worker->source);
	close(worker->source.fd);
	deliver_fail_all(worker);
	LIST_REMOVE(worker, in_workers);
	if (worker->has_greeted)
		send->health.workers -= !worker->is_remote;
	if (worker->is_remote)
		lane_take_rooms(send->lanes);
	free(worker);
	workers_set_limits(send);
}

static bool
greet_worker(struct worker *worker, const void *data, size_t length)
{
	struct job_hello hello;

	if (!job_get_hello(data, length, &hello) ||
	    hello.version != JOB_VERSION ||
	    (hello.channel == JOB_REMOTE) != worker->is_remote) {
		log_line("warning: a delivery worker of another version "
			 "was started; restart the queue after an upgrade");
		return false;
	}
	worker->kind = kind_of_channel(hello.channel);
	worker->has_greeted = true;
	/* What the one before it knew of hosts this one does not. */
	if (worker->is_remote)
		lane_wake_remote(worker->send->lanes, NULL);
	worker->send->health.workers += !worker->is_remote;
	return true;
}

/* Takes all results of a packet, up to the first that is none. */
static bool
take_results(struct worker *worker, const char *data, size_t length)
{
	struct job_result result;

	if (!job_open_results(&data, &length))
		return false;
	do
		if (!job_take_result(&data, &length, &result) ||
		    !deliver_result(worker, &result))
			return false;
	while (length > 0);
	return true;
}

static bool
back_off(struct worker *worker, const char *data, size_t length)
{
	struct send *send = worker->send;
	struct job_backoff backoff;
	struct lane *lane;
	char key[ADDRESS_LOG_MAX], reason[TEXT_LOG_MAX + 1];

	if (!job_get_backoff(data, length, &backoff))
		return false;
	lane = lane_find(send->lanes,
	    lane_kind_of_key(worker->kind, backoff.lane), backoff.lane);
	if (lane == NULL)
		return true; /* nothing waits in it any more */
	log_word(key, sizeof(key), backoff.lane);
	deliver_put_text(reason, backoff.reason);
	log_line("lane %s: rests for %" PRIu32 " s: %s", key, backoff.seconds,
	    reason);
	lane_back_off(send->lanes, lane,
	    clock_ms() + (int64_t)backoff.seconds * 1000, backoff.reason);
	return true;
}

static bool
set_room(struct worker *worker, const char *data, size_t length)
{
	struct send *send = worker->send;
	struct job_room room;
	struct lane *lane;

	if (!worker->is_remote || !job_get_room(data, length, &room))
		return false;
	lane = lane_find(send->lanes,
	    lane_kind_of_key(LANE_REMOTE, room.lane), room.lane);
	if (lane != NULL)
		lane_set_room(send->lanes, lane, room.jobs);
	return true;
}

static bool
set_take(struct worker *worker, const char *data, size_t length)
{
	bool is_valid = job_get_take(data, length, &worker->take);

	if (is_valid && worker->is_remote)
		worker->send->has_lanes_by_sender = worker->take.by_sender;
	workers_set_limits(worker->send);
	return is_valid;
}

static bool
wake_lanes(struct worker *worker, const char *data, size_t length)
{
	const char *domain;

	if (!worker->is_remote || !job_get_wake(data, length, &domain))
		return false;
	lane_wake_remote(worker->send->lanes, *domain == '\0' ? NULL : domain);
	return true;
}

static bool
take_packet(struct worker *worker, const char *data, size_t length)
{
	if (!worker->has_greeted)
		return greet_worker(worker, data, length);
	switch (job_packet_type(data, length)) {
	case JOB_TAKE:
		return set_take(worker, data, length);
	case JOB_RESULTS:
		return take_results(worker, data, length);
	case JOB_BACKOFF:
		return back_off(worker, data, length);
	case JOB_ROOM:
		return set_room(worker, data, length);
	case JOB_WAKE:
		return wake_lanes(worker, data, length);
	default:
		return false;
	}
}

static void
worker_ready(uint32_t events, void *context)
{
	static char buffer[PACKET_MAX]; /* the loop has one thread */
	struct worker *worker = context;
	int fd;

	if (events & EPOLLOUT) {
		worker->is_full = false;
		loop_change(worker->send->loop, &worker->source, EPOLLIN);
	}
	for (int turn = 0; turn < PACKETS_A_TURN; turn++) {
		ssize_t n = packet_receive(worker->source.fd, buffer,
		    sizeof(buffer), &fd, MSG_DONTWAIT);

		if (fd != -1)
			close(fd);
		if (n == -1 && errno == EAGAIN)
			return;
		if (n <= 0 || !take_packet(worker, buffer, (size_t)n)) {
			worker_drop(worker);
			return;
		}
	}
}

static void
add_worker(struct send *send, int fd, bool is_remote)
{
	struct worker *worker = xcalloc(1, sizeof(*worker));

	worker->send = send;
	worker->is_remote = is_remote;
	worker->kind = is_remote ? LANE_REMOTE : LANE_VIRTUAL;
	worker->source = (struct loop_source){
		.fd = fd, .ready = worker_ready, .context = worker
	};
	LIST_INSERT_HEAD(&send->workers, worker, in_workers);
	if (loop_add(send->loop, &worker->source, EPOLLIN, NULL) == -1)
		worker_drop(worker);
}

/* qmail-start has started a worker: here is its connection. */
static void
control_ready(uint32_t events, void *context)
{
	struct send *send = context;
	char byte;
	int fd;
	ssize_t n = packet_receive(
	    send->control_source.fd, &byte, 1, &fd, MSG_DONTWAIT);

	(void)events;
	if (n == -1 && (errno == EBADMSG || errno == EMSGSIZE))
		log_line("warning: cannot take a delivery worker's connection "
			 "(too few descriptors?); another one will come");
	else if (n == 0 || (n == -1 && errno != EAGAIN)) {
		/* It has gone, and we are about to be told to. */
		loop_remove(send->loop, &send->control_source);
		send->control_source.fd = -1;
	}
	if (n == 1 && fd != -1)
		add_worker(send, fd, false);
	else if (fd != -1)
		close(fd);
}

/*
 * The node's qmail-rspawn serves all queues, and is nobody's child: run/ is
 * root's, and the kernel says who answers there.
 */
void
workers_tick(struct send *send)
{
	const struct worker *worker;
	uid_t uid;
	pid_t pid;
	char *path;
	int fd;

	LIST_FOREACH(worker, &send->workers, in_workers)
		if (worker->is_remote)
			return;
	if (send->is_stopping)
		return;
	path = layout_path(send->home, LAYOUT_remote);
	fd = packet_connect_within(path, REMOTE_CONNECT_MS, NULL);
	free(path);
	if (fd == -1)
		return; /* the service says why it does not run */
	if (packet_peer(fd, &uid, &pid) == 0 &&
	    (uid == 0 || uid == send->remote_uid || uid == geteuid()))
		add_worker(send, fd, true);
	else
		close(fd);
}

int
workers_open(struct send *send, int control_fd, struct error *err)
{
	STAILQ_INIT(&send->unopened);
	STAILQ_INIT(&send->opened);
	/* Looked up once: it may ask the disk. */
	send->remote_uid = identity_peer(IDENTITY_QUEUE, IDENTITY_REMOTE);
	send->control_source = (struct loop_source){
		.fd = control_fd, .ready = control_ready, .context = send
	};
	return control_fd == -1
	    ? 0
	    : loop_add(send->loop, &send->control_source, EPOLLIN, err);
}

void
workers_close(struct send *send)
{
	while (!LIST_EMPTY(&send->workers))
		worker_drop(LIST_FIRST(&send->workers));
	idmap_release(&send->deliveries);
}

/* The kind of the workers that have a lane's jobs. */
static enum lane_kind
kind_of_worker(enum lane_kind kind)
{
	return kind == LANE_NODE ? LANE_REMOTE : kind;
}

static bool
worker_has_room(const struct worker *worker)
{
	return worker->has_greeted && !worker->is_full &&
	    worker->running < worker->take.recipients &&
	    (worker->running == 0 || worker->bytes < worker->take.bytes);
}

struct worker *
worker_find(const struct send *send, enum lane_kind kind)
{
	struct worker *worker, *best = NULL;

	LIST_FOREACH(worker, &send->workers, in_workers)
		if (worker->kind == kind_of_worker(kind) &&
		    worker_has_room(worker) &&
		    (best == NULL || worker->running < best->running))
			best = worker;
	return best;
}

bool
workers_has(const struct send *send, enum lane_kind kind)
{
	const struct worker *worker;

	if (kind == LANE_LOCAL)
		return true; /* defer_local() is quick */
	LIST_FOREACH(worker, &send->workers, in_workers)
		if (worker->has_greeted && worker->kind == kind_of_worker(kind))
			return true;
	return false;
}

void
workers_set_limits(struct send *send)
{
	static const enum lane_kind kinds[] = { LANE_VIRTUAL, LANE_LOCAL,
		LANE_REMOTE, LANE_NODE };

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		enum lane_kind kind = kinds[i];
		unsigned limit = send->limit[lane_way(kind)];
		const struct worker *worker;
		uint64_t taken = 0;

		LIST_FOREACH(worker, &send->workers, in_workers)
			if (worker->has_greeted &&
			    worker->kind == kind_of_worker(kind))
				taken += worker->take.recipients;
		lane_set_limit(send->lanes, kind,
		    taken > 0 && taken < limit ? (unsigned)taken : limit,
		    lane_way(kind) == ROUTE_REMOTE ||
			(kind == LANE_VIRTUAL && send->has_many_lanes));
	}
}
