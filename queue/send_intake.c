/* SPDX-License-Identifier: ISC */
/*
 * Clients with new mail (queue/intake_packet.h).  The order that makes a 250
 * true is the committer's; here is who may say what when.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/packet.h"
#include "queue/exitcode.h"
#include "queue/intake_packet.h"
#include "queue/send_client.h"

/* Packets of one client that are read before others get their turn. */
enum { PACKETS_A_TURN = 16 };

/* How long, and how often, it is asked whether a file is closed everywhere. */
enum { LEASE_WAIT_MS = 200, LEASE_RETRY_MS = 10 };

/* A commit under way; the client may go meanwhile. */
struct intake {
	struct client *client;
	struct buf record;
	bool wants_next;
};

/* Answers never wait: a client that does not read its answer is dropped. */
static int
answer(struct client *client, const struct intake_packet *packet, int fd)
{
	struct buf buf = BUF_INIT;
	int result;

	intake_put(&buf, packet);
	result = packet_send(
	    client->source.fd, buf.data, buf.length, fd, MSG_DONTWAIT);
	buf_release(&buf);
	return result;
}

static int
refuse(struct client *client, int code, const char *text)
{
	struct intake_packet refused = {
		.type = INTAKE_REFUSED, .code = (uint32_t)code, .text = text
	};

	return answer(client, &refused, -1);
}

/* The error of a file operation as one of qmail-queue's exit codes. */
static int
code_of(int error)
{
	switch (error) {
	case ENOSPC:
	case EDQUOT:
		return QQ_WRITE_ERROR;
	case ENOMEM:
	case EMFILE:
	case ENFILE:
		return QQ_OUT_OF_MEMORY;
	default:
		return QQ_CREATE;
	}
}

/*
 * A spare for the client's next message, and a description of its file that is
 * the client's own, so that the lease can tell it is closed.  The descriptor,
 * or -1 with errno and the reason.
 */
static int
open_spare(struct client *client, struct error *err)
{
	struct send *send = client->send;
	int fd, saved_errno;

	if (!client_has_files(send, CLIENT_FILES)) {
		errno = EMFILE;
		return error_set(err,
		    "too many clients for the limit of open files (%u; "
		    "softlimit -o, ulimit -n)",
		    send->files_max);
	}
	if (spare_take(send->spares, &client->spare, err) == -1)
		return -1;
	if (!client_is_trusted(client) &&
	    ftruncate(client->spare.mess_fd, 0) == -1)
		fd = error_sys(err, "cannot empty the message file");
	else {
		fd = queue_open_file(
		    send->dir, QUEUE_MESS, client->spare.id, O_WRONLY);
		if (fd == -1)
			error_sys(err, "cannot open the message file");
	}
	if (fd == -1) {
		saved_errno = errno;
		spare_give(send->spares, &client->spare);
		errno = saved_errno;
		return -1;
	}
	client->state = CLIENT_OPEN;
	buf_reset(&client->envelope);
	return fd;
}

static int
handle_open(struct client *client, const struct intake_packet *packet)
{
	struct intake_packet opened = { .type = INTAKE_OPENED };
	struct error err;
	int fd, result;

	if (client->state != CLIENT_IDLE || packet->version != INTAKE_VERSION)
		return -1;
	if (client->send->is_stopping)
		return refuse(client, 71, "the queue is being stopped");
	fd = open_spare(client, &err);
	if (fd == -1) {
		int code = code_of(errno);

		log_line("warning: %s", err.text);
		return refuse(client, code, err.text);
	}
	opened.id = client->spare.id;
	result = answer(client, &opened, fd);
	close(fd);
	return result;
}

/* The end of a commit: its result, and the next file if one is wanted. */
static void
answer_commit(
    struct client *client, const struct commit_job *job, bool wants_next)
{
	struct intake_packet committed = { .type = INTAKE_COMMITTED,
		.id = job->id,
		.code = (uint32_t)job->result,
		.text = job->result == QQ_OK ? "" : job->err.text };
	int fd = -1, result;

	client_idle(client);
	if (client->is_gone) {
		client_reap(client);
		return;
	}
	/* Without a file it asks again, and then hears why. */
	if (wants_next && job->result == QQ_OK && !client->send->is_stopping)
		fd = open_spare(client, NULL);
	result = answer(client, &committed, fd);
	if (fd != -1)
		close(fd);
	if (result == -1)
		client_drop(client);
}

static void
commit_done(struct commit_job *job, void *context)
{
	struct intake *intake = context;
	struct send *send = intake->client->send;

	send->commits_running--;
	answer_commit(intake->client, job, intake->wants_next);
	if (job->result == QQ_OK)
		message_new(send, job, &intake->record, 0);
	else
		log_line("warning: message not queued: %s", job->err.text);
	job->text[COMMIT_RECORD] = (struct buf)BUF_INIT; /* intake's */
	buf_release(&intake->record);
	free(intake);
	commit_job_free(&job);
}

static int
refuse_commit(struct client *client, int code, const char *text)
{
	struct intake_packet committed = {
		.type = INTAKE_COMMITTED, .code = (uint32_t)code, .text = text
	};

	log_line("warning: message refused: %s", text);
	spare_give(client->send->spares, &client->spare);
	client_idle(client);
	return answer(client, &committed, -1);
}

/*
 * Makes the todo record of what the client sent.  QQ_OK, or why it cannot be
 * queued.  It is read as input, without u and p, which are not the client's to
 * say.
 */
static int
make_record(struct client *client, struct buf *record, struct error *err)
{
	struct envelope envelope;
	size_t recipient_count;

	buf_addc(&client->envelope, '\0'); /* the input's end */
	if (envelope_parse(client->envelope.data, client->envelope.length, true,
		&envelope, err) == -1)
		return QQ_ENVELOPE;
	recipient_count = envelope.recipient_count;
	envelope_release(&envelope);
	if (client_has_too_many(client, recipient_count)) {
		error_set(err,
		    "%zu recipients; %d are allowed in one message (send it in "
		    "parts)",
		    recipient_count, STRANGERS_RECIPIENTS);
		return QQ_REJECTED;
	}
	buf_addf(record, "u%lu", client->uid);
	buf_addc(record, '\0');
	buf_addf(record, "p%lu", client->qp);
	buf_addc(record, '\0');
	buf_add(record, client->envelope.data, client->envelope.length - 1);
	return QQ_OK;
}

/* Hands the message to the committer, or refuses it. */
static int
commit(struct client *client)
{
	struct send *send = client->send;
	struct commit_job *job;
	struct intake *intake;
	struct error err;
	int code;

	if (!client_is_trusted(client) &&
	    client_is_sparse(client, client->size_bytes))
		return refuse_commit(
		    client, QQ_MESS, "the message file has holes");
	intake = xcalloc(1, sizeof(*intake));
	intake->client = client;
	intake->wants_next = client->wants_next;
	code = make_record(client, &intake->record, &err);
	if (code != QQ_OK) {
		buf_release(&intake->record);
		free(intake);
		return refuse_commit(client, code, err.text);
	}
	job = commit_job_new(COMMIT_NEW, client->spare.id);
	job->spare = client->spare;
	client->spare = (struct spare)SPARE_NONE;
	job->size_bytes = client->size_bytes;
	job->text[COMMIT_RECORD] = intake->record; /* borrowed: only read */
	job->done = commit_done;
	job->context = intake;
	client->state = CLIENT_COMMITTING;
	message_commit(send, job);
	return 0;
}

static void
set_timer(struct send *send, bool is_on)
{
	struct itimerspec every = { .it_interval.tv_nsec = 0 };

	if (send->is_lease_timer_on == is_on)
		return; /* set again and again it would never come */
	send->is_lease_timer_on = is_on;
	if (is_on)
		every.it_interval.tv_nsec = every.it_value.tv_nsec =
		    LEASE_RETRY_MS * 1000000;
	/* Cannot fail: the descriptor is ours and the time is valid. */
	timerfd_settime(send->lease_timer.fd, 0, &every, NULL);
}

/*
 * Nobody may be able to write to the file from here on.  A client that is just
 * starting a program has a copy of all its descriptors in a process that has
 * not called exec yet: that is over in a moment.
 */
static int
try_commit(struct client *client, int64_t now_ms)
{
	switch (spare_is_unshared(client->spare.mess_fd)) {
	case 1:
		return commit(client);
	case 0:
		if (now_ms >= client->lease_until)
			return refuse_commit(client, QQ_MESS,
			    "the message file is still open elsewhere");
		client->state = CLIENT_LEASING;
		return 0;
	default:
		return refuse_commit(client, QQ_MESS,
		    "the queue's filesystem has no leases (F_SETLEASE)");
	}
}

static void
lease_ready(uint32_t events, void *context)
{
	struct send *send = context;
	struct client *client, *next;
	int64_t now_ms = clock_ms();
	bool is_wanted = false;
	uint64_t count;

	(void)events;
	if (read(send->lease_timer.fd, &count, sizeof(count)) == -1)
		return;
	for (client = send->clients; client != NULL; client = next) {
		next = client->next;
		if (client->is_gone || client->state != CLIENT_LEASING)
			continue;
		if (try_commit(client, now_ms) == -1)
			client_drop(client);
		else
			is_wanted |= client->state == CLIENT_LEASING;
	}
	if (!is_wanted)
		set_timer(send, false);
}

int
intake_timer_open(struct send *send, struct error *err)
{
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

	if (fd == -1)
		return error_sys(err, "cannot make a timer");
	send->lease_timer = (struct loop_source){
		.fd = fd, .ready = lease_ready, .context = send
	};
	return loop_add(send->loop, &send->lease_timer, EPOLLIN, err);
}

void
intake_timer_close(struct send *send)
{
	if (send->lease_timer.fd <= 0)
		return;
	loop_remove(send->loop, &send->lease_timer);
	close(send->lease_timer.fd);
	send->lease_timer.fd = -1;
}

static int
handle_commit(struct client *client, const struct intake_packet *packet)
{
	int64_t now_ms = clock_ms();
	int result;

	client->qp = (unsigned long)packet->qp;
	client->size_bytes = packet->size_bytes;
	client->wants_next = packet->wants_next;
	client->lease_until = now_ms + LEASE_WAIT_MS;
	result = try_commit(client, now_ms);
	if (client->state == CLIENT_LEASING)
		set_timer(client->send, true);
	return result;
}

static int
handle_packet(struct client *client, const struct intake_packet *packet)
{
	switch (packet->type) {
	case INTAKE_OPEN:
		return handle_open(client, packet);
	case INTAKE_ENVELOPE:
	case INTAKE_COMMIT:
		if (client->state != CLIENT_OPEN ||
		    client_is_too_much(client, packet->piece_length))
			return -1;
		buf_add(&client->envelope, packet->piece, packet->piece_length);
		return packet->type == INTAKE_COMMIT
		    ? handle_commit(client, packet)
		    : 0;
	case INTAKE_ABORT:
		if (client->state != CLIENT_OPEN)
			return -1;
		spare_give(client->send->spares, &client->spare);
		client_idle(client);
		return 0;
	case INTAKE_OPENED:
	case INTAKE_REFUSED:
	case INTAKE_COMMITTED:
		break;
	}
	return -1;
}

void
intake_read(uint32_t events, void *context)
{
	static char buffer[PACKET_MAX]; /* the loop has one thread */
	struct client *client = context;
	struct intake_packet packet;
	int turn, fd;

	(void)events;
	client->active_at = clock_ms();
	for (turn = 0; turn < PACKETS_A_TURN; turn++) {
		ssize_t n;

		if (!client_is_trusted(client) &&
		    !client->send->has_no_foreign_fds &&
		    packet_has_fds(client->source.fd)) {
			client_drop(client); /* nobody sends us one */
			return;
		}
		n = packet_receive(client->source.fd, buffer, sizeof(buffer),
		    &fd, MSG_DONTWAIT);
		if (fd != -1)
			close(fd);
		if (n == -1 && errno == EAGAIN)
			return;
		if (n <= 0 || !intake_get(buffer, (size_t)n, &packet) ||
		    handle_packet(client, &packet) == -1) {
			client_drop(client);
			return;
		}
	}
}
