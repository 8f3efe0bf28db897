/* SPDX-License-Identifier: ISC */
/* The conversation of qmail-vdeliver with qmail-send. */
#include "delivery/worker.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/packet.h"

/* A result's text, and what is around it. */
enum { RESULT_MAX = VDELIVER_TEXT_SIZE + 16 };

struct batch {
	size_t count;
	struct vdeliver_item items[MAILDIR_BATCH_MAX];
	char *packets[MAILDIR_BATCH_MAX]; /* the texts of the items' jobs */
	char packet[PACKET_MAX];
};

/* Waits for a packet: 1; 0 to stop; -1. */
static int
wait_for_job(int fd, const volatile sig_atomic_t *is_stopping,
    const sigset_t *wait_mask, struct error *err)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	for (;;) {
		if (*is_stopping)
			return 0;
		if (ppoll(&poll_fd, 1, NULL, wait_mask) == 1)
			return 1;
		if (errno != EINTR)
			return error_sys(err, "cannot wait for qmail-send");
	}
}

/* Takes one packet.  1; 0 when none waits or the other side is gone; -1. */
static int
take_job(int fd, struct batch *batch, struct error *err)
{
	struct vdeliver_item *item = &batch->items[batch->count];
	int message_fd;
	ssize_t n = packet_receive(fd, batch->packet, sizeof(batch->packet),
	    &message_fd, MSG_DONTWAIT);
	char *packet;

	if (n == 0 || (n == -1 && (errno == EAGAIN || errno == ECONNRESET)))
		return 0;
	if (n == -1)
		return error_sys(err, "cannot receive a job from qmail-send");
	packet = xmalloc((size_t)n);
	memcpy(packet, batch->packet, (size_t)n);
	if (!job_get(packet, (size_t)n, &item->job)) {
		free(packet);
		if (message_fd != -1)
			close(message_fd);
		return error_set(err,
		    "qmail-send sent a packet that is not a job of version %d: "
		    "restart the queue so that both are of the same release",
		    JOB_VERSION);
	}
	item->fd = message_fd;
	item->rule = NULL;
	batch->packets[batch->count++] = packet;
	return 1;
}

/* Sends the results gathered so far. */
static bool
flush_results(int fd, struct buf *packet)
{
	bool is_there = packet->length == 0 ||
	    packet_send(fd, packet->data, packet->length, -1, 0) == 0;

	buf_reset(packet);
	return is_there;
}

/*
 * Answers all, in few packets; false when the other side is gone.  A slow one
 * is waited for.
 */
static bool
send_results(int fd, const struct batch *batch)
{
	struct buf packet;
	bool is_there = true;
	size_t i;

	buf_init(&packet);
	for (i = 0; i < batch->count && is_there; i++) {
		const struct vdeliver_item *item = &batch->items[i];
		const struct job_result result = {
			.delivery = item->job.delivery,
			.outcome = item->outcome,
			.text = item->text,
		};

		if (packet.length > PACKET_MAX - RESULT_MAX)
			is_there = flush_results(fd, &packet);
		job_put_result(&packet, &result);
	}
	is_there = is_there && flush_results(fd, &packet);
	buf_release(&packet);
	return is_there;
}

static void
forget(struct batch *batch)
{
	while (batch->count > 0)
		free(batch->packets[--batch->count]);
}

/* One batch.  1; 0 when the other side is gone; -1. */
static int
serve_batch(
    int fd, struct vdeliver *vdeliver, struct batch *batch, struct error *err)
{
	int result;

	do
		result = take_job(fd, batch, err);
	while (
	    result == 1 && batch->count < MAILDIR_BATCH_MAX && !mem_is_short());
	if (batch->count == 0)
		return result;
	/* What came before a bad packet is done and answered as ever. */
	vdeliver_run(vdeliver, batch->items, batch->count);
	if (!send_results(fd, batch) && result != -1)
		result = 0;
	else if (result != -1)
		result = 1;
	forget(batch);
	return result;
}

static bool
say_hello(int fd)
{
	const struct job_hello hello = { JOB_VERSION, JOB_VIRTUAL };
	struct buf packet;
	bool is_there;

	buf_init(&packet);
	job_put_hello(&packet, &hello);
	is_there = packet_send(fd, packet.data, packet.length, -1, 0) == 0;
	buf_release(&packet);
	return is_there;
}

int
worker_serve(int fd, struct vdeliver *vdeliver,
    const volatile sig_atomic_t *is_stopping, const sigset_t *wait_mask,
    struct error *err)
{
	struct batch *batch;
	int result = 1;

	if (!say_hello(fd))
		return 0;
	batch = xcalloc(1, sizeof(*batch));
	while (result == 1) {
		result = wait_for_job(fd, is_stopping, wait_mask, err);
		if (result == 1)
			result = serve_batch(fd, vdeliver, batch, err);
		if (result == 1 && mem_is_short())
			result = error_set(err,
			    "memory is short: starting anew, between batches");
	}
	free(batch);
	return result;
}
