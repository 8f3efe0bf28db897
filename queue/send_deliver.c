/* SPDX-License-Identifier: ISC */
/*
 * Delivery workers: their connections, the jobs they are given, and what they
 * answer (queue/job.h).
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/log_text.h"
#include "base/mem.h"
#include "base/packet.h"
#include "queue/send.h"

enum {
	PACKETS_A_TURN = 256,
	TEXT_LOG_MAX = 2000, /* bytes of a result's text in the log */
	ADDRESS_LOG_MAX = 2100,
	/* of a packet, for what is not the body */
	JOB_TEXTS_MAX = PACKET_MAX - JOB_BODY_MAX - 64
};

struct worker {
	LIST_ENTRY(worker) in_workers;
	struct send *send;
	struct loop_source source;
	bool has_greeted;
	bool is_full; /* its socket takes no more just now */
	enum job_channel channel;
	struct job_take take;
	unsigned running; /* recipients */
	uint64_t bytes;   /* of messages in memory that it has in hand */
};
LIST_HEAD(worker_list, worker);

/* A job in hand, until its last recipient's result. */
struct handed {
	struct worker *worker;
	unsigned left;
	uint64_t bytes;
};

struct delivery {
	uint32_t number;
	struct handed *handed; /* NULL: not given to a worker */
	struct message *message;
	struct recipient *recipient;
};

static const char *const channel_names[ROUTE_CHANNEL_COUNT] = {
	[ROUTE_LOCAL] = "local",
	[ROUTE_REMOTE] = "remote",
};

static enum job_channel
channel_of_kind(enum lane_kind kind)
{
	switch (kind) {
	case LANE_LOCAL:
		return JOB_LOCAL;
	case LANE_REMOTE:
		return JOB_REMOTE;
	case LANE_MIXED:
	case LANE_VIRTUAL:
	case LANE_KIND_COUNT:
		break;
	}
	return JOB_VIRTUAL;
}

void
deliver_log_status(struct send *send)
{
	if (!send->has_new_status)
		return;
	send->has_new_status = false;
	log_line("status: local %u/%u remote %u/%u%s",
	    send->running[ROUTE_LOCAL], send->limit[ROUTE_LOCAL],
	    send->running[ROUTE_REMOTE], send->limit[ROUTE_REMOTE],
	    send->is_stopping ? " exitasap" : "");
}

/* A text as one word: "/" for a line end, "_" for what is not printable. */
static void
put_text_word(char word[TEXT_LOG_MAX + 1], const char *text)
{
	size_t i;

	for (i = 0; i < TEXT_LOG_MAX && text[i] != '\0'; i++)
		word[i] = text[i] == '\n'                             ? '/'
		    : text[i] <= ' ' || (unsigned char)text[i] >= 127 ? '_'
								      : text[i];
	word[i] = '\0';
}

static void
log_result(uint32_t number, const char *result, const char *text)
{
	char word[TEXT_LOG_MAX + 1];

	put_text_word(word, text);
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

/* -- one delivery */

static struct lane *
lane_of(const struct message *message, const struct recipient *recipient)
{
	return message->parts[recipient->part].line.lane;
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
	lane_started(send->lanes, lane_of(message, recipient), 1);
	return delivery;
}

static void
free_delivery(struct send *send, struct delivery *delivery)
{
	struct recipient *recipient = delivery->recipient;
	struct handed *handed = delivery->handed;

	idmap_remove(&send->deliveries, delivery->number);
	send->running[recipient->channel]--;
	lane_ended(send->lanes, lane_of(delivery->message, recipient), 1);
	if (handed != NULL) {
		handed->worker->running--;
		if (--handed->left == 0) {
			handed->worker->bytes -= handed->bytes;
			free(handed);
		}
	}
	free(delivery);
}

static void
log_delivery(struct send *send, const struct delivery *delivery)
{
	char address[ADDRESS_LOG_MAX];

	log_word(address, sizeof(address), delivery->recipient->address);
	log_line("starting delivery %" PRIu32 ": msg %" PRIu64 " to %s %s",
	    delivery->number, delivery->message->id,
	    channel_names[delivery->recipient->channel], address);
	send->has_new_status = true;
}

/* Logs the end of a delivery and frees it. */
static void
forget_delivery(struct send *send, struct delivery *delivery,
    enum job_outcome outcome, const char *text)
{
	log_result(delivery->number, outcome_word(outcome), text);
	send->has_new_status = true;
	free_delivery(send, delivery);
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

/* Takes back a delivery that was not even logged. */
static void
undo_delivery(struct send *send, struct delivery *delivery)
{
	struct message *message = delivery->message;
	struct recipient *recipient = delivery->recipient;

	free_delivery(send, delivery);
	message_put_back(send, message, recipient);
}

/* Ends a delivery before a worker has seen it. */
static void
defer_now(struct send *send, struct message *message,
    struct recipient *recipient, bool is_trouble, const char *text)
{
	struct delivery *delivery = new_delivery(send, message, recipient);

	log_delivery(send, delivery);
	if (is_trouble)
		fail_delivery(send, delivery, text);
	else
		end_delivery(send, delivery, JOB_TEMPFAIL, text);
}

/* -- workers */

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
		    delivery->handed == NULL ||
		    delivery->handed->worker != worker)
			continue;
		fail_delivery(send, delivery,
		    "The delivery worker ended before it answered. (#4.3.0)\n");
		i = (size_t)-1;
	}
	LIST_REMOVE(worker, in_workers);
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
			 "was started; restart the queue after an upgrade");
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

	if (delivery == NULL || delivery->handed == NULL ||
	    delivery->handed->worker != worker) {
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

	if (!job_open_results(&data, &length))
		return false;
	do
		if (!job_take_result(&data, &length, &result) ||
		    !take_result(worker, &result))
			return false;
	while (length > 0);
	return true;
}

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

static bool
back_off(struct worker *worker, const char *data, size_t length)
{
	struct send *send = worker->send;
	struct job_backoff backoff;
	struct lane *lane;
	char key[ADDRESS_LOG_MAX], reason[TEXT_LOG_MAX + 1];

	if (!job_get_backoff(data, length, &backoff))
		return false;
	lane = lane_find(
	    send->lanes, kind_of_channel(worker->channel), backoff.lane);
	if (lane == NULL)
		return true; /* nothing waits in it any more */
	log_word(key, sizeof(key), backoff.lane);
	put_text_word(reason, backoff.reason);
	log_line("lane %s: rests for %" PRIu32 " s: %s", key, backoff.seconds,
	    reason);
	lane_back_off(send->lanes, lane,
	    clock_ms() + (int64_t)backoff.seconds * 1000, backoff.reason);
	return true;
}

static bool
take_packet(struct worker *worker, const char *data, size_t length)
{
	if (!worker->has_greeted)
		return greet(worker, data, length);
	switch (job_packet_type(data, length)) {
	case JOB_TAKE:
		return job_get_take(data, length, &worker->take);
	case JOB_RESULTS:
		return take_results(worker, data, length);
	case JOB_BACKOFF:
		return back_off(worker, data, length);
	default:
		return false;
	}
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
	for (turn = 0; turn < PACKETS_A_TURN; turn++) {
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
add_worker(struct send *send, int fd)
{
	struct worker *worker = xcalloc(1, sizeof(*worker));

	worker->send = send;
	worker->source = (struct loop_source){
		.fd = fd, .ready = worker_ready, .context = worker
	};
	LIST_INSERT_HEAD(send->workers, worker, in_workers);
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
		add_worker(send, fd);
	else if (fd != -1)
		close(fd);
}

int
deliver_open(struct send *send, int control_fd, struct error *err)
{
	send->workers = xcalloc(1, sizeof(*send->workers));
	LIST_INIT(send->workers);
	send->control_source = (struct loop_source){
		.fd = control_fd, .ready = control_ready, .context = send
	};
	return control_fd == -1
	    ? 0
	    : loop_add(send->loop, &send->control_source, EPOLLIN, err);
}

void
deliver_close(struct send *send)
{
	if (send->workers == NULL)
		return;
	while (!LIST_EMPTY(send->workers))
		worker_drop(LIST_FIRST(send->workers));
	free(send->workers);
	send->workers = NULL;
	idmap_release(&send->deliveries);
}

static bool
has_room(const struct worker *worker)
{
	return worker->has_greeted && !worker->is_full &&
	    worker->running < worker->take.recipients &&
	    (worker->running == 0 || worker->bytes < worker->take.bytes);
}

/* The worker of that kind with the least in hand that takes more; or NULL. */
static struct worker *
find_worker(const struct send *send, enum job_channel channel)
{
	struct worker *worker, *best = NULL;

	LIST_FOREACH(worker, send->workers, in_workers)
		if (worker->channel == channel && has_room(worker) &&
		    (best == NULL || worker->running < best->running))
			best = worker;
	return best;
}

bool
deliver_has_worker(const struct send *send, enum lane_kind kind)
{
	const struct worker *worker;

	if (kind == LANE_LOCAL)
		return true; /* defer_local() is quick */
	LIST_FOREACH(worker, send->workers, in_workers)
		if (worker->has_greeted &&
		    worker->channel == channel_of_kind(kind))
			return true;
	return false;
}

/* -- jobs */

/*
 * The descriptor for a body that is too large for a packet: mess/ID, or a copy
 * in memory that nobody can change.  It stays the message's.  -1 with errno.
 */
static int
body_fd(struct send *send, struct message *message)
{
	int fd;

	if (message->mess_fd != -1)
		return message->mess_fd;
	if (message->body.data == NULL) {
		/* Fresh: it was written, or looked for, a moment ago. */
		message->mess_fd = queue_open_file(
		    send->dir, QUEUE_MESS, message->id, O_RDONLY);
		return message->mess_fd;
	}
	fd = memfd_create("message", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd == -1)
		return -1;
	if (file_write_all(fd, message->body.data, message->body.length) ==
		-1 ||
	    fcntl(fd, F_ADD_SEALS,
		F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) ==
		-1) {
		close(fd);
		return -1;
	}
	message->mess_fd = fd;
	return fd;
}

static bool
fits_packet(const struct message *message)
{
	return message->body.data != NULL &&
	    message->size_bytes <= JOB_BODY_MAX;
}

/* One more recipient of a job; false, without it, when it does not fit. */
static bool
add_recipient(const struct message *message, const struct recipient *recipient,
    uint32_t number, struct job *job, size_t *text_bytes)
{
	const struct router_answer *answer =
	    &message->route.answers[recipient - message->recipients];
	const char *texts = message->route.texts.data;
	struct job_recipient *to = &job->recipients[job->recipient_count];
	bool has_entry = answer->channel == ROUTE_LOCAL &&
	    answer->found == ROUTER_FOUND;
	size_t bytes;

	*to = (struct job_recipient){ .delivery = number,
		.recipient = recipient->address,
		.user = has_entry ? texts + answer->user : "",
		.home = has_entry ? texts + answer->home : "",
		.dash = has_entry ? texts + answer->dash : "",
		.extension = has_entry ? texts + answer->extension : "" };
	bytes = strlen(to->recipient) + strlen(to->user) + strlen(to->home) +
	    strlen(to->dash) + strlen(to->extension) + 32;
	if (job->recipient_count > 0 && *text_bytes + bytes > JOB_TEXTS_MAX)
		return false;
	*text_bytes += bytes;
	job->recipient_count++;
	return true;
}

/* The job's recipients were given to the worker. */
static void
hand_over(struct send *send, struct worker *worker, struct handed *handed,
    struct delivery **deliveries, size_t count)
{
	size_t i;

	handed->worker = worker;
	handed->left = (unsigned)count;
	worker->bytes += handed->bytes;
	worker->running += (unsigned)count;
	for (i = 0; i < count; i++) {
		deliveries[i]->handed = handed;
		log_delivery(send, deliveries[i]);
	}
}

enum hand_result { HANDED, NO_ROOM };

/* The job could not be sent: it waits, or is deferred. */
static enum hand_result
take_back(struct send *send, struct worker *worker,
    struct delivery **deliveries, size_t count)
{
	bool is_too_large = errno == EMSGSIZE;
	size_t i;

	if (!is_too_large) {
		/* No room, or it has gone, which its source tells next. */
		worker->is_full = true;
		loop_change(send->loop, &worker->source, EPOLLIN | EPOLLOUT);
	}
	for (i = count; i-- > 0;)
		if (is_too_large) {
			log_delivery(send, deliveries[i]);
			fail_delivery(send, deliveries[i],
			    "The message's header lines are too many for one "
			    "packet to the delivery worker. (#4.3.0)\n");
		} else
			undo_delivery(send, deliveries[i]);
	return is_too_large ? HANDED : NO_ROOM;
}

/* Gives up to max of a part's recipients to a worker, as one job. */
static enum hand_result
hand_out(struct send *send, struct worker *worker, struct message *message,
    struct part *part, unsigned max)
{
	struct job_recipient recipients[JOB_RECIPIENTS_MAX];
	struct delivery *deliveries[JOB_RECIPIENTS_MAX];
	struct handed *handed = xcalloc(1, sizeof(*handed));
	struct job job = { .message_id = message->id,
		.uuid = message->uuid,
		.lane = lane_key(part->line.lane),
		.birth_s = message->birth,
		.attempt = message->attempt,
		.size_bytes = message->size_bytes,
		.sender = message->envelope.sender,
		.header = message->envelope.header,
		.body = fits_packet(message) ? message->body.data : NULL,
		.recipients = recipients };
	size_t text_bytes = strlen(job.sender) + strlen(job.header) + 256;
	int fd = job.body == NULL ? body_fd(send, message) : -1;
	struct buf packet = BUF_INIT;
	struct recipient *recipient;
	enum hand_result result = HANDED;
	size_t count = 0;

	if (job.body == NULL && fd == -1) {
		free(handed);
		log_line("alert: cannot read message %" PRIu64 ": %m",
		    message->id);
		recipient = message_next(message, part);
		if (part->waiting > 0)
			lane_part_enter(send->lanes, &part->line);
		defer_now(send, message, recipient, true,
		    "The message cannot be read just now. (#4.3.0)\n");
		return HANDED;
	}
	while (count < max && count < JOB_RECIPIENTS_MAX &&
	    (recipient = message_next(message, part)) != NULL) {
		deliveries[count] = new_delivery(send, message, recipient);
		if (!add_recipient(message, recipient,
			deliveries[count]->number, &job, &text_bytes)) {
			undo_delivery(send, deliveries[count]);
			break;
		}
		count++;
	}
	job_put(&packet, &job);
	if (message->body.data != NULL)
		handed->bytes = message->size_bytes;
	if (packet_send(worker->source.fd, packet.data, packet.length, fd,
		MSG_DONTWAIT) == 0) {
		hand_over(send, worker, handed, deliveries, count);
		if (part->waiting > 0)
			lane_part_enter(send->lanes, &part->line);
	} else {
		free(handed);
		result = take_back(send, worker, deliveries, count);
	}
	buf_release(&packet);
	return result;
}

/* Starts one job; NO_ROOM when no more can be started now. */
static enum hand_result
start_job(struct send *send, enum lane_kind kind)
{
	struct worker *worker = find_worker(send, channel_of_kind(kind));
	struct lane_part *line;
	unsigned room;

	if (worker == NULL)
		return NO_ROOM;
	line = lane_next(send->lanes, kind, &room);
	if (line == NULL)
		return NO_ROOM;
	if (room > worker->take.recipients - worker->running)
		room = worker->take.recipients - worker->running;
	return hand_out(send, worker, line->message,
	    (struct part *)((char *)line - offsetof(struct part, line)), room);
}

/* The general local way is not there: what would need it waits on disk. */
static enum hand_result
defer_local(struct send *send)
{
	struct lane_part *line;
	struct message *message;
	struct recipient *recipient;
	const struct router_answer *answer;
	struct part *part;
	unsigned room;

	line = lane_next(send->lanes, LANE_LOCAL, &room);
	if (line == NULL)
		return NO_ROOM;
	message = line->message;
	part = (struct part *)((char *)line - offsetof(struct part, line));
	recipient = message_next(message, part);
	if (part->waiting > 0)
		lane_part_enter(send->lanes, line);
	answer = &message->route.answers[recipient - message->recipients];
	if (answer->found == ROUTER_FOUND)
		defer_now(send, message, recipient, false,
		    "This release delivers only to virtual users. (#4.3.5)\n");
	else
		defer_now(send, message, recipient,
		    answer->found == ROUTER_UNKNOWN,
		    message->route.texts.data + answer->reason);
	return HANDED;
}

void
deliver_start(struct send *send)
{
	static const enum lane_kind kinds[] = { LANE_VIRTUAL, LANE_REMOTE };
	size_t i;

	if (send->is_stopping)
		return;
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		while (start_job(send, kinds[i]) == HANDED)
			continue;
	while (defer_local(send) == HANDED)
		continue;
}
