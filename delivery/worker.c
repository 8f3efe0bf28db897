/* SPDX-License-Identifier: ISC */
/* The conversation of qmail-vdeliver with qmail-send. */
#include "delivery/worker.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/outbox.h"
#include "base/packet.h"

enum {
	/* A result's text, and what is around it. */
	RESULT_MAX = VDELIVER_TEXT_SIZE + 16,
	/* What was written so far may be synced while more is taken. */
	ROUND_MESSAGES = 64,
	/* Packets; from then on nothing more is taken. */
	UNSENT_MAX = 4
};

struct worker {
	int fd;
	struct job_take limit; /* of small messages */
	struct job_take told;  /* last said to qmail-send */
	size_t small_count, large_count;
	uint64_t large_bytes; /* once for each recipient */
	struct outbox outbox;
	bool is_closed; /* nothing more comes */
	int result;     /* -1: with the reason */
	struct error err;
	struct job_recipient recipients[JOB_RECIPIENTS_MAX];
	char packet[PACKET_MAX];
};

struct worker *
worker_new(int fd, uint32_t recipients, uint64_t bytes)
{
	struct worker *worker = xcalloc(1, sizeof(*worker));

	worker->fd = fd;
	worker->limit = (struct job_take){ recipients, bytes, false };
	outbox_init(&worker->outbox);
	return worker;
}

void
worker_free(struct worker **worker)
{
	if (*worker == NULL)
		return;
	outbox_release(&(*worker)->outbox);
	free(*worker);
	*worker = NULL;
}

/* -- to qmail-send */

/* The results that a next one fits to, or a new packet. */
static struct buf *
results_packet(struct worker *worker)
{
	struct buf *last = outbox_last(&worker->outbox);

	if (last != NULL && last->length <= PACKET_MAX - RESULT_MAX &&
	    last->data[0] == JOB_RESULTS)
		return last;
	return outbox_add(&worker->outbox);
}

static void
say_hello(struct worker *worker)
{
	const struct job_hello hello = { JOB_VERSION, JOB_VIRTUAL };

	job_put_hello(outbox_add(&worker->outbox), &hello);
}

/*
 * Large messages take no memory here and hold up no small ones, so they do not
 * use up what may be in hand of these.
 */
static void
say_take(struct worker *worker)
{
	const struct job_take take = {
		.recipients = worker->limit.recipients +
		    (uint32_t)worker->large_count,
		.bytes = worker->limit.bytes + worker->large_bytes,
	};

	if (take.recipients == worker->told.recipients &&
	    take.bytes == worker->told.bytes)
		return;
	worker->told = take;
	job_put_take(outbox_add(&worker->outbox), &take);
}

void
worker_answer(const struct vdeliver_item *item, void *context)
{
	struct worker *worker = context;
	const struct vdeliver_message *message = item->message;
	const struct job_result result = {
		.delivery = item->to->delivery,
		.outcome = item->outcome,
		.text = item->text,
	};

	job_put_result(results_packet(worker), &result);
	if (!vdeliver_is_large(message)) {
		worker->small_count--;
		return;
	}
	worker->large_count--;
	worker->large_bytes -= message->job.size_bytes;
}

/* -- from qmail-send */

static void
fail(struct worker *worker)
{
	worker->result = -1;
	worker->is_closed = true;
}

/* The packet's message, with a copy of it; NULL when it is not one. */
static struct vdeliver_message *
read_job(struct worker *worker, size_t length, int fd)
{
	struct vdeliver_message *message;
	struct job_recipient *recipients;
	struct job job;
	char *copy = xmalloc(length);

	memcpy(copy, worker->packet, length);
	if (!job_get(copy, length, worker->recipients, &job) ||
	    (job.body != NULL && fd != -1)) {
		free(copy);
		return NULL;
	}
	message = vdeliver_message_new(job.recipient_count);
	recipients = message->job.recipients;
	message->job = job;
	message->job.recipients = recipients;
	memcpy(recipients, worker->recipients,
	    job.recipient_count * sizeof(*recipients));
	message->storage = copy;
	message->fd = fd;
	return message;
}

/* Takes one packet.  False when none waits, or none will come any more. */
static bool
take_job_packet(struct worker *worker, struct vdeliver *vdeliver)
{
	struct vdeliver_message *message;
	int fd;
	ssize_t n = packet_receive(worker->fd, worker->packet,
	    sizeof(worker->packet), &fd, MSG_DONTWAIT);

	if (n == -1 && errno == EAGAIN)
		return false;
	if (n == 0 || (n == -1 && errno == ECONNRESET)) {
		worker->is_closed = true;
		return false;
	}
	if (n == -1) {
		error_sys(&worker->err, "cannot receive a job from qmail-send");
		fail(worker);
		return false;
	}
	message = read_job(worker, (size_t)n, fd);
	if (message == NULL) {
		if (fd != -1)
			close(fd);
		error_set(&worker->err,
		    "qmail-send sent a packet that is not a job of version %d: "
		    "restart the queue so that both are of the same release",
		    JOB_VERSION);
		fail(worker);
		return false;
	}
	if (vdeliver_is_large(message)) {
		worker->large_count += message->job.recipient_count;
		worker->large_bytes += message->job.recipient_count *
		    message->job.size_bytes;
	} else
		worker->small_count += message->job.recipient_count;
	vdeliver_deliver(vdeliver, message);
	return true;
}

/* Whoever sends more than was asked for, or reads no results, has to wait. */
static bool
may_take(const struct worker *worker)
{
	return !worker->is_closed && worker->outbox.count < UNSENT_MAX &&
	    worker->small_count < worker->limit.recipients &&
	    worker->large_count < worker->limit.recipients;
}

/* Takes what waits. */
static void
take_round(struct worker *worker, struct vdeliver *vdeliver)
{
	int taken = 0;

	vdeliver_begin(vdeliver);
	while (may_take(worker) && !mem_is_short() && taken < ROUND_MESSAGES &&
	    take_job_packet(worker, vdeliver))
		taken++;
	vdeliver_end(vdeliver);
}

/* Waits for a packet, for room to send, or for something done. */
static void
wait_for_any(struct worker *worker, const struct vdeliver *vdeliver,
    const sigset_t *wait_mask)
{
	struct pollfd fds[2] = {
		{ .fd = vdeliver_wake_fd(vdeliver), .events = POLLIN },
		{ .fd = worker->fd },
	};

	if (may_take(worker))
		fds[1].events |= POLLIN;
	if (worker->outbox.count > 0)
		fds[1].events |= POLLOUT;
	if (fds[1].events == 0)
		fds[1].fd = -1; /* its end would wake us again and again */
	if (ppoll(fds, 2, NULL, wait_mask) == -1 && errno != EINTR) {
		error_sys(&worker->err, "cannot wait for qmail-send");
		fail(worker);
	}
}

static void
close_if_told(struct worker *worker, bool is_stopping)
{
	if (is_stopping)
		worker->is_closed = true;
	if (worker->is_closed || !mem_is_short())
		return;
	error_set(&worker->err,
	    "memory is short: starting anew, when all is done that was taken");
	fail(worker);
}

int
worker_serve(struct worker *worker, struct vdeliver *vdeliver,
    const volatile sig_atomic_t *is_stopping, const sigset_t *wait_mask,
    struct error *err)
{
	say_hello(worker);
	say_take(worker);
	for (;;) {
		close_if_told(worker, *is_stopping != 0);
		if (worker->is_closed)
			vdeliver_hurry(vdeliver);
		if (may_take(worker))
			take_round(worker, vdeliver);
		vdeliver_reap(vdeliver);
		say_take(worker);
		if (!outbox_send(&worker->outbox, worker->fd))
			worker->is_closed = true;
		if (worker->is_closed && vdeliver_count(vdeliver) == 0 &&
		    worker->outbox.count == 0)
			break;
		wait_for_any(worker, vdeliver, wait_mask);
	}
	if (worker->result == -1 && err != NULL)
		*err = worker->err;
	return worker->result;
}
