/* SPDX-License-Identifier: ISC */
/*
 * Delivery workers: their connections, the jobs they are given, and what they
 * answer (queue/job.h).
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/packet.h"
#include "queue/send.h"

enum {
	ASSIGN_CHECK_MS = 1000,
	RESULTS_A_TURN = 256,
	TEXT_LOG_MAX = 2000 /* bytes of a result's text in the log */
};

struct worker {
	struct worker *next, **link;
	struct send *send;
	struct loop_source source;
	bool has_greeted;
	bool is_full; /* its socket takes no more just now */
	enum job_channel channel;
	unsigned running;
};

struct delivery {
	uint32_t number;
	struct worker *worker;
	struct message *message;
	struct recipient *recipient;
};

static const char *const channel_names[ROUTE_CHANNEL_COUNT] = {
	[ROUTE_LOCAL] = "local",
	[ROUTE_REMOTE] = "remote",
};

void
deliver_log_status(const struct send *send)
{
	log_line("status: local %u/%u remote %u/%u%s",
	    send->running[ROUTE_LOCAL], send->limit[ROUTE_LOCAL],
	    send->running[ROUTE_REMOTE], send->limit[ROUTE_REMOTE],
	    send->is_stopping ? " exitasap" : "");
}

/* A text as one word: "/" for a line end, "_" for what is not printable. */
static void
log_result(uint32_t number, const char *result, const char *text)
{
	char word[TEXT_LOG_MAX + 1];
	size_t i;

	for (i = 0; i < TEXT_LOG_MAX && text[i] != '\0'; i++)
		word[i] = text[i] == '\n'                             ? '/'
		    : text[i] <= ' ' || (unsigned char)text[i] >= 127 ? '_'
								      : text[i];
	word[i] = '\0';
	log_line("delivery %" PRIu32 ": %s: %s", number, result, word);
}

static const char *
outcome_word(enum job_outcome outcome)
{
	switch (outcome) {
	case JOB_DELIVERED:
		return "success";
	case JOB_PERMFAIL:
		return "failure";
	case JOB_TEMPFAIL:
	case JOB_GENERAL:
		return "deferral";
	}
	return "deferral";
}

/* Logs the end of a delivery and frees it. */
static void
forget_delivery(struct send *send, struct delivery *delivery,
    enum job_outcome outcome, const char *text)
{
	struct recipient *recipient = delivery->recipient;

	log_result(delivery->number, outcome_word(outcome), text);
	idmap_remove(&send->deliveries, delivery->number);
	send->running[recipient->channel]--;
	if (delivery->worker != NULL)
		delivery->worker->running--;
	free(delivery);
	deliver_log_status(send);
}

static void
end_delivery(struct send *send, struct delivery *delivery,
    enum job_outcome outcome, const char *text)
{
	struct message *message = delivery->message;
	struct recipient *recipient = delivery->recipient;

	forget_delivery(send, delivery, outcome, text);
	message_result(send, message, recipient, outcome, text);
}

/* Trouble of our own: no reason to give a message up. */
static void
fail_delivery(struct send *send, struct delivery *delivery, const char *text)
{
	struct message *message = delivery->message;
	struct recipient *recipient = delivery->recipient;

	forget_delivery(send, delivery, JOB_TEMPFAIL, text);
	message_trouble(send, message, recipient);
}

/* What a worker had in hand may or may not be delivered: try it again. */
static void
worker_drop(struct worker *worker)
{
	struct send *send = worker->send;
	size_t i;

	loop_remove(send->loop, &worker->source);
	close(worker->source.fd);
	/* Removing moves entries: begin again after each one. */
	for (i = 0; worker->running > 0 && i < send->deliveries.size; i++) {
		struct delivery *delivery = send->deliveries.slots[i].value;

		if (send->deliveries.slots[i].id == 0 ||
		    delivery->worker != worker)
			continue;
		fail_delivery(send, delivery,
		    "The delivery worker ended before it answered. (#4.3.0)\n");
		i = (size_t)-1;
	}
	*worker->link = worker->next;
	if (worker->next != NULL)
		worker->next->link = worker->link;
	if (worker->has_greeted)
		send->health.workers--;
	free(worker);
}

static bool
greet(struct worker *worker, const void *data, size_t length)
{
	struct job_hello hello;

	if (!job_get_hello(data, length, &hello) ||
	    hello.version != JOB_VERSION) {
		log_line("warning: a delivery worker of another version "
			 "connected; restart the queue after an upgrade");
		return false;
	}
	worker->channel = hello.channel;
	worker->has_greeted = true;
	worker->send->health.workers++;
	return true;
}

static bool
take_result(struct worker *worker, const struct job_result *result)
{
	struct send *send = worker->send;
	struct delivery *delivery = idmap_get(
	    &send->deliveries, result->delivery);

	if (delivery == NULL || delivery->worker != worker) {
		log_line("delivery %" PRIu32 ": report mangled, will defer",
		    result->delivery);
		return false;
	}
	end_delivery(send, delivery, result->outcome,
	    result->outcome == JOB_GENERAL && result->text[0] == '\0'
		? "This address needs the general local delivery, which this "
		  "release does not have. (#4.3.5)\n"
		: result->text);
	return true;
}

/* Takes all results of a packet, up to the first that is none. */
static bool
take_results(struct worker *worker, const char *data, size_t length)
{
	struct job_result result;

	do
		if (!job_take_result(&data, &length, &result) ||
		    !take_result(worker, &result))
			return false;
	while (length > 0);
	return true;
}

static void
worker_ready(uint32_t events, void *context)
{
	static char buffer[PACKET_MAX]; /* the loop has one thread */
	struct worker *worker = context;
	int turn, fd;

	if (events & EPOLLOUT) {
		worker->is_full = false;
		loop_change(worker->send->loop, &worker->source, EPOLLIN);
	}
	for (turn = 0; turn < RESULTS_A_TURN; turn++) {
		ssize_t n = packet_receive(worker->source.fd, buffer,
		    sizeof(buffer), &fd, MSG_DONTWAIT);

		if (fd != -1)
			close(fd);
		if (n == -1 && errno == EAGAIN)
			return;
		if (n <= 0 ||
		    !(worker->has_greeted
			    ? take_results(worker, buffer, (size_t)n)
			    : greet(worker, buffer, (size_t)n))) {
			worker_drop(worker);
			return;
		}
	}
}

/* Only root, the queue's own user, and who runs us may deliver. */
static bool
is_trusted(const struct send *send, int fd)
{
	uid_t uid;
	pid_t pid;

	if (packet_peer(fd, &uid, &pid) == -1)
		return false;
	return uid == 0 || uid == getuid() || uid == send->worker_uid;
}

static void
workers_ready(uint32_t events, void *context)
{
	struct send *send = context;
	int fd = accept4(
	    send->workers_source.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct worker *worker;

	(void)events;
	if (fd == -1 && errno != EAGAIN) {
		/* EMFILE: it waits until the next tick. */
		log_line("warning: cannot accept a delivery worker: %m");
		loop_change(send->loop, &send->workers_source, 0);
	}
	if (fd == -1)
		return;
	if (!is_trusted(send, fd)) {
		log_line("warning: a process of another user connected as a "
			 "delivery worker; refused");
		close(fd);
		return;
	}
	worker = xcalloc(1, sizeof(*worker));
	worker->send = send;
	worker->source = (struct loop_source){
		.fd = fd, .ready = worker_ready, .context = worker
	};
	worker->link = &send->workers;
	worker->next = send->workers;
	if (worker->next != NULL)
		worker->next->link = &worker->next;
	send->workers = worker;
	if (loop_add(send->loop, &worker->source, EPOLLIN, NULL) == -1)
		worker_drop(worker);
}

int
deliver_open(struct send *send, struct error *err)
{
	char *path = queue_lock_path(send->dir->path, "workers");
	int fd = packet_listen(path, 0666, err); /* is_trusted() decides */

	free(path);
	if (fd == -1)
		return -1;
	send->workers_source = (struct loop_source){
		.fd = fd, .ready = workers_ready, .context = send
	};
	return loop_add(send->loop, &send->workers_source, EPOLLIN, err);
}

void
deliver_tick(struct send *send)
{
	loop_change(send->loop, &send->workers_source, EPOLLIN);
}

void
deliver_close(struct send *send)
{
	while (send->workers != NULL)
		worker_drop(send->workers);
	if (send->workers_source.fd > 0) {
		loop_remove(send->loop, &send->workers_source);
		close(send->workers_source.fd);
		send->workers_source.fd = -1;
	}
	idmap_release(&send->deliveries);
}

/* The worker with the least in hand for a channel of this kind. */
static struct worker *
find_worker(const struct send *send, enum job_channel channel)
{
	struct worker *worker, *best = NULL;

	for (worker = send->workers; worker != NULL; worker = worker->next)
		if (worker->has_greeted && !worker->is_full &&
		    worker->channel == channel &&
		    (best == NULL || worker->running < best->running))
			best = worker;
	return best;
}

bool
deliver_has_worker(const struct send *send, enum route_channel channel)
{
	const struct worker *worker;

	for (worker = send->workers; worker != NULL; worker = worker->next)
		if (worker->has_greeted &&
		    (worker->channel == JOB_REMOTE) ==
			(channel == ROUTE_REMOTE))
			return true;
	return false;
}

/* users/cdb may be replaced at any time; one look a second is enough. */
static void
refresh_assign(struct send *send)
{
	char *path;
	struct error err;

	if (clock_ms() < send->assign_checked_at + ASSIGN_CHECK_MS)
		return;
	send->assign_checked_at = clock_ms();
	if (send->assign != NULL && !cdbmap_is_stale(send->assign))
		return;
	cdbmap_free(&send->assign);
	path = xasprintf("%s/cdb", send->home->users);
	if (cdbmap_open(path, &send->assign, &err) == -1)
		log_line("alert: %s; local deliveries wait", err.text);
	free(path);
}

static struct delivery *
new_delivery(
    struct send *send, struct message *message, struct recipient *recipient)
{
	struct delivery *delivery = xcalloc(1, sizeof(*delivery));

	if (++send->last_delivery == 0) /* not a key */
		send->last_delivery = 1;
	delivery->number = send->last_delivery;
	delivery->message = message;
	delivery->recipient = recipient;
	idmap_put(&send->deliveries, delivery->number, delivery);
	send->running[recipient->channel]++;
	return delivery;
}

static void
log_start(const struct send *send, const struct delivery *delivery)
{
	log_line("starting delivery %" PRIu32 ": msg %" PRIu64 " to %s %s",
	    delivery->number, delivery->message->id,
	    channel_names[delivery->recipient->channel],
	    delivery->recipient->address);
	deliver_log_status(send);
}

/* Takes back a delivery that was not even begun, or logged. */
static void
undo_delivery(struct send *send, struct delivery *delivery)
{
	struct message *message = delivery->message;
	struct recipient *recipient = delivery->recipient;

	idmap_remove(&send->deliveries, delivery->number);
	send->running[recipient->channel]--;
	free(delivery);
	message_put_back(send, message, recipient);
}

enum start_result { STARTED, NO_ROOM };

/*
 * Hands a delivery to a worker.  What a job needs is looked up here; trouble
 * with it is a deferral of this one delivery.
 */
static enum start_result
hand_out(struct send *send, struct worker *worker, struct message *message,
    struct recipient *recipient, const struct assign_entry *entry)
{
	struct job job = { .message_id = message->id,
		.sender = message->sender,
		.recipient = recipient->address,
		.user = entry->user,
		.uid = entry->uid,
		.gid = entry->gid,
		.home = entry->home,
		.dash = entry->dash,
		.extension = entry->extension,
		.header = message->header };
	struct delivery *delivery = new_delivery(send, message, recipient);
	int fd = queue_open_file(send->dir, QUEUE_MESS, message->id, O_RDONLY);
	struct buf packet = BUF_INIT;
	enum start_result result = STARTED;

	if (fd == -1) {
		log_start(send, delivery);
		log_line(
		    "alert: cannot open mess/%" PRIu64 ": %m", message->id);
		fail_delivery(send, delivery,
		    "The message cannot be read just now. (#4.3.0)\n");
		return STARTED;
	}
	job.delivery = delivery->number;
	job_put(&packet, &job);
	if (packet_send(worker->source.fd, packet.data, packet.length, fd,
		MSG_DONTWAIT) == 0) {
		log_start(send, delivery);
		delivery->worker = worker;
		worker->running++;
	} else if (errno != EMSGSIZE) {
		/* No room, or it has gone, which its source tells next. */
		worker->is_full = true;
		loop_change(send->loop, &worker->source, EPOLLIN | EPOLLOUT);
		undo_delivery(send, delivery);
		result = NO_ROOM;
	} else {
		log_start(send, delivery);
		fail_delivery(send, delivery,
		    "The message's header lines are too many for one packet "
		    "to the delivery worker. (#4.3.0)\n");
	}
	buf_release(&packet);
	close(fd);
	return result;
}

/* Ends a delivery before a worker has seen it. */
static void
defer_now(struct send *send, struct message *message,
    struct recipient *recipient, bool is_trouble, const char *text)
{
	struct delivery *delivery = new_delivery(send, message, recipient);

	log_start(send, delivery);
	if (is_trouble)
		fail_delivery(send, delivery, text);
	else
		end_delivery(send, delivery, JOB_TEMPFAIL, text);
}

/* Starts one local delivery; NO_ROOM when no more can be started now. */
static enum start_result
start_local(struct send *send)
{
	struct worker *worker = find_worker(send, JOB_VIRTUAL);
	struct message *message;
	struct recipient *recipient;
	struct assign_entry entry;
	enum start_result result = STARTED;
	const char *at;
	struct error err;
	char *local;

	if (worker == NULL)
		return NO_ROOM;
	recipient = message_next(send, ROUTE_LOCAL, &message);
	if (recipient == NULL)
		return NO_ROOM;
	if (send->assign == NULL) {
		defer_now(send, message, recipient, true,
		    "users/cdb is missing; "
		    "make it with qmail-newu. (#4.3.5)\n");
		return STARTED;
	}
	at = strrchr(recipient->address, '@');
	local = xstrndup(recipient->address,
	    at == NULL ? strlen(recipient->address)
		       : (size_t)(at - recipient->address));
	switch (assign_find(send->assign, local, &entry, &err)) {
	case 1:
		result = hand_out(send, worker, message, recipient, &entry);
		assign_release(&entry);
		break;
	case 0:
		defer_now(send, message, recipient, false,
		    "users/assign has no "
		    "entry for this address, and this release delivers only "
		    "to virtual users. (#4.3.5)\n");
		break;
	default:
		log_line("alert: %s", err.text);
		defer_now(send, message, recipient, true,
		    "users/cdb cannot be read. (#4.3.5)\n");
	}
	free(local);
	return result;
}

void
deliver_start(struct send *send)
{
	refresh_assign(send);
	while (!send->is_stopping && !send->is_held[ROUTE_LOCAL] &&
	    send->running[ROUTE_LOCAL] < send->limit[ROUTE_LOCAL] &&
	    start_local(send) == STARTED)
		continue;
}
