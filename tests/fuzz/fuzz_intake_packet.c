/* SPDX-License-Identifier: ISC */
/* A client's packet to the intake; and the packets of delivery workers. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "queue/intake_packet.h"
#include "queue/job.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct intake_packet packet;
	struct buf buf = BUF_INIT;
	struct job_result result;
	struct job_hello hello;
	struct job job;

	/* What is a packet is written as the same bytes. */
	if (intake_get(data, size, &packet)) {
		intake_put(&buf, &packet);
		assert(buf.length == size);
		assert(memcmp(buf.data, data, size) == 0);
	}
	buf_reset(&buf);
	if (job_get_hello(data, size, &hello)) {
		job_put_hello(&buf, &hello);
		assert(buf.length == size && !memcmp(buf.data, data, size));
	}
	buf_reset(&buf);
	if (job_get(data, size, &job)) {
		job_put(&buf, &job);
		assert(buf.length == size && !memcmp(buf.data, data, size));
	}
	buf_reset(&buf);
	if (job_get_result(data, size, &result)) {
		job_put_result(&buf, &result);
		assert(buf.length == size && !memcmp(buf.data, data, size));
	}
	buf_release(&buf);
	return 0;
}
