/* SPDX-License-Identifier: ISC */
/* Deliveries: the jobs that workers are given (queue/job.h), and their ends. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/log_text.h"
#include "base/mem.h"
#include "base/packet.h"
#include "queue/send_worker.h"

enum {
	OPENINGS_MAX = 16, /* jobs with an open file that were not sent yet */
	/* of a packet, for what is not the body */
	JOB_TEXTS_MAX = PACKET_MAX - JOB_BODY_MAX - 64
};

/* A job, from its first delivery to the last one's result. */
struct handed {
	struct work work;             /* if its message is to be opened, */
	STAILQ_ENTRY(handed) in_send; /* before and after that */
	struct send *send;
	struct message *message;
	struct worker *worker; /* NULL: it was not sent yet */
	struct lane *lane;
	enum lane_kind kind;
	uint64_t bytes; /* of the message, if it is in memory */
	struct buf packet;
	unsigned left;
	struct delivery *deliveries[JOB_RECIPIENTS_MAX]; /* until it is sent */
	unsigned count;
	int fd; /* that was opened, or -1 with errno in error */
	int error;
};

struct delivery {
	uint32_t number;
	struct handed *handed; /* NULL: it is for no worker */
	struct message *message;
	struct recipient *recipient;
};

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

void
deliver_put_text(char word[TEXT_LOG_MAX + 1], const char *text)
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

	deliver_put_text(word, text);
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

/* How it is delivered, wherever it is recorded. */
static enum route_channel
way_of(const struct message *message, const struct recipient *recipient)
{
	return lane_way(lane_get_kind(lane_of(message, recipient)));
}

/* What a worker is told: no prefix for another node, which makes its own. */
static const char *
address_for_worker(
    const struct message *message, const struct recipient *recipient)
{
	const struct router_answer *answer =
	    &message->route.answers[recipient - message->recipients];

	return answer->kind == LANE_NODE
	    ? message->route.texts.data + answer->bare
	    : recipient->address;
}

static struct delivery *
new_delivery(struct send *send, struct message *message,
    struct recipient *recipient, struct handed *handed)
{
	struct delivery *delivery = xcalloc(1, sizeof(*delivery));

	if (++send->last_delivery == 0) /* not a key */
		send->last_delivery = 1;
	delivery->number = send->last_delivery;
	delivery->message = message;
	delivery->recipient = recipient;
	delivery->handed = handed;
	idmap_put(&send->deliveries, delivery->number, delivery);
	send->running[way_of(message, recipient)]++;
	lane_started(send->lanes, lane_of(message, recipient));
	return delivery;
}

/* One of its deliveries has ended; the last one frees it. */
static void
leave_handed(struct handed *handed)
{
	if (handed->worker != NULL)
		handed->worker->running--;
	if (--handed->left > 0)
		return;
	lane_job_ended(handed->send->lanes, handed->lane);
	if (handed->worker != NULL)
		handed->worker->bytes -= handed->bytes;
	buf_release(&handed->packet);
	free(handed);
}

static void
free_delivery(struct send *send, struct delivery *delivery)
{
	struct recipient *recipient = delivery->recipient;
	struct handed *handed = delivery->handed;

	idmap_remove(&send->deliveries, delivery->number);
	send->running[way_of(delivery->message, recipient)]--;
	lane_ended(send->lanes, lane_of(delivery->message, recipient));
	if (handed != NULL)
		leave_handed(handed);
	free(delivery);
}

static void
log_delivery(struct send *send, const struct delivery *delivery)
{
	const struct message *message = delivery->message;
	const struct recipient *recipient = delivery->recipient;
	char address[ADDRESS_LOG_MAX];

	log_word(
	    address, sizeof(address), address_for_worker(message, recipient));
	log_line("starting delivery %" PRIu32 ": msg %" PRIu64 " to %s %s",
	    delivery->number, message->id,
	    queue_folder_name(message_folder(way_of(message, recipient))),
	    address);
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
    const struct job_result *result)
{
	struct message *message = delivery->message;
	struct recipient *recipient = delivery->recipient;

	forget_delivery(send, delivery, result->outcome, result->text);
	message_result(send, message, recipient, result);
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
	struct delivery *delivery = new_delivery(
	    send, message, recipient, NULL);

	log_delivery(send, delivery);
	if (is_trouble)
		fail_delivery(send, delivery, text);
	else
		end_delivery(send, delivery,
		    &(struct job_result){
			.outcome = JOB_TEMPFAIL, .text = text });
}

/* -- what workers say */

void
deliver_fail_all(struct worker *worker)
{
	struct send *send = worker->send;

	/* Removing moves entries: begin again after each one. */
	for (size_t i = 0; worker->running > 0 && i < send->deliveries.size;
	     i++) {
		struct delivery *delivery = send->deliveries.slots[i].value;

		if (send->deliveries.slots[i].id == 0 ||
		    delivery->handed == NULL ||
		    delivery->handed->worker != worker)
			continue;
		fail_delivery(send, delivery,
		    "The delivery worker ended before it answered. (#4.3.0)\n");
		i = (size_t)-1;
	}
}

bool
deliver_result(struct worker *worker, const struct job_result *result)
{
	struct send *send = worker->send;
	struct delivery *delivery = idmap_get(
	    &send->deliveries, result->delivery);
	struct job_result ended;

	if (delivery == NULL || delivery->handed == NULL ||
	    delivery->handed->worker != worker) {
		log_line("delivery %" PRIu32 ": report mangled, will defer",
		    result->delivery);
		return false;
	}
	ended = *result;
	if (result->outcome == JOB_GENERAL && result->text[0] == '\0')
		ended.text = "This address needs the general local delivery, "
			     "which this release does not have. (#4.3.5)\n";
	end_delivery(send, delivery, &ended);
	return true;
}

/* -- jobs */

/*
 * The descriptor for a body that is too large for a packet: mess/ID, or a copy
 * in memory that nobody can change.  It stays the message's.  -1 with errno, 0
 * when it is not there before its file is opened.
 */
static int
find_body(struct message *message, int *fd_out)
{
	int fd;

	*fd_out = message->mess_fd;
	if (message->mess_fd != -1)
		return 1;
	if (message->body.data == NULL)
		return 0;
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
	*fd_out = message->mess_fd = fd;
	return 1;
}

static bool
fits_packet(const struct message *message)
{
	return message->body.data != NULL &&
	    message->size_bytes <= JOB_BODY_MAX;
}

/* One more recipient of a job; false, without it, when it does not fit. */
static bool
add_job_recipient(const struct message *message,
    const struct recipient *recipient, uint32_t number, struct job *job,
    size_t *text_bytes)
{
	const struct router_answer *answer =
	    &message->route.answers[recipient - message->recipients];
	const char *texts = message->route.texts.data;
	const char *dsn = envelope_dsn(
	    &message->envelope, (size_t)(recipient - message->recipients));
	struct job_recipient *to = &job->recipients[job->recipient_count];
	bool has_entry = answer->channel == ROUTE_LOCAL &&
	    answer->kind != LANE_NODE && answer->found == ROUTER_FOUND;
	size_t bytes;

	*to = (struct job_recipient){ .delivery = number,
		.recipient = address_for_worker(message, recipient),
		.user = has_entry ? texts + answer->user : "",
		.home = has_entry ? texts + answer->home : "",
		.dash = has_entry ? texts + answer->dash : "",
		.extension = has_entry ? texts + answer->extension : "",
		.dsn = dsn };
	bytes = strlen(to->recipient) + strlen(to->user) + strlen(to->home) +
	    strlen(to->dash) + strlen(to->extension) + strlen(dsn) + 32;
	if (job->recipient_count > 0 && *text_bytes + bytes > JOB_TEXTS_MAX)
		return false;
	*text_bytes += bytes;
	job->recipient_count++;
	return true;
}

/* What of the message's parameters a host is told that knows DSN. */
static struct buf
mail_params(const struct message *message, struct dsn_message *params)
{
	struct dsn_message dsn;
	struct buf buf;

	dsn_get_message(message->envelope.dsn, params);
	dsn = *params;
	dsn.needs_tls = dsn.waives_tls = false;
	dsn.hold_until = 0;
	buf_init(&buf);
	dsn_put_message(&buf, &dsn);
	return buf;
}

/* Takes up to max of a part's recipients for a job, and makes its packet. */
static struct handed *
gather_job(
    struct send *send, struct message *message, struct part *part, unsigned max)
{
	struct job_recipient recipients[JOB_RECIPIENTS_MAX];
	struct handed *handed = xcalloc(1, sizeof(*handed));
	struct dsn_message params;
	struct buf dsn = mail_params(message, &params);
	struct job job = { .message_id = message->id,
		.uuid = message->uuid,
		.lane = lane_key(part->line.lane),
		.birth_s = message->birth,
		.attempt = message->attempt,
		.size_bytes = message->size_bytes,
		.sender = message->envelope.sender,
		.header = message->envelope.header,
		.dsn = dsn.data,
		.needs_tls = params.needs_tls,
		.body = fits_packet(message) ? message->body.data : NULL,
		.recipients = recipients };
	size_t text_bytes = strlen(job.sender) + strlen(job.header) +
	    dsn.length + 256;
	struct recipient *recipient;

	handed->send = send;
	handed->message = message;
	handed->lane = part->line.lane;
	handed->kind = lane_get_kind(handed->lane);
	lane_job_began(send->lanes, handed->lane);
	if (message->body.data != NULL)
		handed->bytes = message->size_bytes;
	while (handed->count < max && handed->count < JOB_RECIPIENTS_MAX &&
	    (recipient = message_next(message, part)) != NULL) {
		struct delivery *delivery = new_delivery(
		    send, message, recipient, handed);

		handed->left++;
		if (!add_job_recipient(message, recipient, delivery->number,
			&job, &text_bytes)) {
			undo_delivery(send, delivery);
			break;
		}
		handed->deliveries[handed->count++] = delivery;
	}
	job_put(&handed->packet, &job);
	buf_release(&dsn);
	if (part->waiting > 0)
		lane_part_enter(send->lanes, &part->line);
	return handed;
}

/* None of it is given to a worker now; text NULL: it waits again. */
static void
drop_job(struct handed *handed, const char *text)
{
	struct send *send = handed->send;
	unsigned i = handed->count;

	while (i-- > 0) { /* the last one frees it */
		struct delivery *delivery = handed->deliveries[i];

		if (text == NULL)
			undo_delivery(send, delivery);
		else {
			log_delivery(send, delivery);
			fail_delivery(send, delivery, text);
		}
	}
}

/* The body cannot be read: a reason of our own to defer. */
static void
fail_handed(struct handed *handed)
{
	log_line(
	    "alert: cannot read message %" PRIu64 ": %m", handed->message->id);
	drop_job(handed, "The message cannot be read just now. (#4.3.0)\n");
}

enum hand_result { HANDED, NO_ROOM };

/* No room, or it has gone, which its source tells next. */
static void
set_full(struct worker *worker)
{
	worker->is_full = true;
	loop_change(worker->send->loop, &worker->source, EPOLLIN | EPOLLOUT);
}

/* fd: of the body, or -1. */
static enum hand_result
send_job(struct worker *worker, struct handed *handed, int fd)
{
	struct send *send = handed->send;

	if (packet_send(worker->source.fd, handed->packet.data,
		handed->packet.length, fd, MSG_DONTWAIT) == 0) {
		buf_release(&handed->packet);
		handed->worker = worker;
		worker->bytes += handed->bytes;
		worker->running += handed->count;
		for (unsigned i = 0; i < handed->count; i++)
			log_delivery(send, handed->deliveries[i]);
		return HANDED;
	}
	if (errno == EMSGSIZE) {
		drop_job(handed,
		    "The message's header lines are too many for "
		    "one packet to the delivery worker. "
		    "(#4.3.0)\n");
		return HANDED;
	}
	set_full(worker);
	drop_job(handed, NULL);
	return NO_ROOM;
}

/* In a helper: the body of a large fresh message. */
static void
open_job_body(struct work *work)
{
	struct handed *handed = (struct handed *)work;

	handed->fd = queue_open_file(
	    handed->send->dir, QUEUE_MESS, handed->message->id, O_RDONLY);
	handed->error = errno;
}

static void
body_opened(struct work *work)
{
	struct handed *handed = (struct handed *)work;

	STAILQ_INSERT_TAIL(&handed->send->opened, handed, in_send);
}

/* Its body is open, or cannot be opened. */
static void
go_on_opened(struct handed *handed, struct worker *worker)
{
	int fd = handed->fd;

	if (fd == -1) {
		errno = handed->error;
		fail_handed(handed);
	} else if (worker == NULL)
		drop_job(handed, NULL);
	else
		send_job(worker, handed, fd);
	if (fd != -1)
		close(fd);
}

/* Has bodies opened, a few at a time, and goes on with these. */
static void
run_openings(struct send *send)
{
	struct handed *handed, *next;

	for (handed = STAILQ_FIRST(&send->opened); handed != NULL;
	     handed = next) {
		struct worker *worker = send->is_stopping
		    ? NULL
		    : worker_find(send, handed->kind);

		next = STAILQ_NEXT(handed, in_send);
		if (worker == NULL && !send->is_stopping &&
		    workers_has(send, handed->kind))
			continue; /* it is full just now */
		STAILQ_REMOVE(&send->opened, handed, handed, in_send);
		send->openings--;
		go_on_opened(handed, worker);
	}
	while ((handed = STAILQ_FIRST(&send->unopened)) != NULL &&
	    (send->openings < OPENINGS_MAX || send->is_stopping)) {
		STAILQ_REMOVE_HEAD(&send->unopened, in_send);
		if (send->is_stopping) {
			drop_job(handed, NULL);
			continue;
		}
		send->openings++;
		work_pool_post(
		    send->helpers, &handed->work, open_job_body, body_opened);
	}
}

/* Gives up to max of a part's recipients to a worker, as one job. */
static enum hand_result
hand_out(struct send *send, struct worker *worker, struct message *message,
    struct part *part, unsigned max)
{
	struct handed *handed = gather_job(send, message, part, max);
	int fd = -1, found = fits_packet(message) ? 1 : find_body(message, &fd);

	if (found == 1)
		return send_job(worker, handed, fd);
	if (found == -1)
		fail_handed(handed);
	else
		STAILQ_INSERT_TAIL(&send->unopened, handed, in_send);
	return HANDED;
}

/* Starts one job; NO_ROOM when no more can be started now. */
static enum hand_result
start_job(struct send *send, enum lane_kind kind)
{
	struct worker *worker = worker_find(send, kind);
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

/* Has remote lanes ask for room. */
static void
ask_for_room(struct send *send)
{
	struct worker *worker;
	struct lane *lane;
	enum job_wish wish;

	LIST_FOREACH(worker, &send->workers, in_workers)
		if (worker->is_remote && worker->has_greeted &&
		    !worker->is_full)
			break;
	while (worker != NULL && !worker->is_full &&
	    (lane = lane_next_to_ask(send->lanes, &wish)) != NULL) {
		struct buf packet = BUF_INIT;

		job_put_ask(&packet, lane_key(lane), wish);
		if (packet_send(worker->source.fd, packet.data, packet.length,
			-1, MSG_DONTWAIT) == -1) {
			set_full(worker);
			lane_set_room(send->lanes, lane, 0); /* asks again */
		}
		buf_release(&packet);
	}
}

void
deliver_give_up(struct send *send, struct message *message)
{
	struct recipient *recipient;

	message->running++; /* it stays meanwhile */
	for (uint32_t i = 0; i < message->part_count; i++) {
		struct part *part = &message->parts[i];
		const struct lane *lane = part->line.lane;

		if (lane_backs_off_until_ms(lane) == 0 ||
		    !message_is_expired(message, lane))
			continue;
		while ((recipient = message_next(message, part)) != NULL)
			defer_now(
			    send, message, recipient, false, lane_reason(lane));
		lane_part_leave(send->lanes, &part->line);
	}
	message->running--;
}

void
deliver_start(struct send *send)
{
	static const enum lane_kind kinds[] = { LANE_VIRTUAL, LANE_REMOTE,
		LANE_NODE };

	run_openings(send);
	if (send->is_stopping)
		return;
	ask_for_room(send);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		while (start_job(send, kinds[i]) == HANDED)
			continue;
	while (defer_local(send) == HANDED)
		continue;
	run_openings(send);
}
