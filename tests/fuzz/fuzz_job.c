/* SPDX-License-Identifier: ISC */
/*
 * The packets between qmail-send and its workers: whatever is accepted is
 * written again as the same bytes.
 */
#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "queue/job.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_same(struct buf *packet, const uint8_t *data, size_t size)
{
	assert(packet->length == size);
	assert(memcmp(packet->data, data, size) == 0);
	buf_reset(packet);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf packet = BUF_INIT;
	struct job_hello hello;
	struct job job;
	struct job_result result;
	const char *next = (const char *)data;
	size_t left = size;
	unsigned kinds = 0;

	if (job_get_hello(data, size, &hello)) {
		job_put_hello(&packet, &hello);
		check_same(&packet, data, size);
		kinds++;
	}
	if (job_get(data, size, &job)) {
		job_put(&packet, &job);
		check_same(&packet, data, size);
		kinds++;
	}
	while (left > 0 && job_take_result(&next, &left, &result)) {
		job_put_result(&packet, &result);
		if (left == 0) {
			check_same(&packet, data, size);
			kinds++;
		}
	}
	assert(kinds <= 1); /* no packet is two things */
	buf_release(&packet);
	return 0;
}
