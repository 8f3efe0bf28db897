/* SPDX-License-Identifier: ISC */
/*
 * The packets between qmail-send and its workers: whatever is accepted is
 * written again as the same bytes, and is of the type that it says.
 */
#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "queue/job.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_same(
    struct buf *packet, enum job_packet type, const uint8_t *data, size_t size)
{
	assert(job_packet_type(data, size) == (int)type);
	assert(packet->length == size);
	assert(memcmp(packet->data, data, size) == 0);
	buf_reset(packet);
}

static void
try_results(struct buf *packet, const uint8_t *data, size_t size)
{
	const char *next = (const char *)data;
	struct job_result result;
	size_t left = size;

	if (!job_open_results(&next, &left))
		return;
	while (job_take_result(&next, &left, &result))
		job_put_result(packet, &result);
	if (left == 0 && packet->length > 0)
		check_same(packet, JOB_RESULTS, data, size);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct job_recipient recipients[JOB_RECIPIENTS_MAX];
	struct buf packet = BUF_INIT;
	struct job_hello hello;
	struct job_take take;
	struct job_backoff backoff;
	struct job_room room;
	const char *lane;
	enum job_wish wish;
	struct job job;

	if (job_get_hello(data, size, &hello)) {
		job_put_hello(&packet, &hello);
		check_same(&packet, JOB_HELLO, data, size);
	}
	if (job_get_take(data, size, &take)) {
		job_put_take(&packet, &take);
		check_same(&packet, JOB_TAKE, data, size);
	}
	if (job_get_backoff(data, size, &backoff)) {
		job_put_backoff(&packet, &backoff);
		check_same(&packet, JOB_BACKOFF, data, size);
	}
	if (job_get_ask(data, size, &lane, &wish)) {
		job_put_ask(&packet, lane, wish);
		check_same(&packet, JOB_ASK, data, size);
	}
	if (job_get_room(data, size, &room)) {
		job_put_room(&packet, &room);
		check_same(&packet, JOB_ROOM, data, size);
	}
	if (job_get_wake(data, size, &lane)) {
		job_put_wake(&packet, lane);
		check_same(&packet, JOB_WAKE, data, size);
	}
	if (job_get(data, size, recipients, &job)) {
		job_put(&packet, &job);
		check_same(&packet, JOB_JOB, data, size);
	}
	try_results(&packet, data, size);
	buf_release(&packet);
	return 0;
}
