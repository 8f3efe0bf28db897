/* SPDX-License-Identifier: ISC */
/* A client's packet to the intake. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "queue/intake_packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct intake_packet packet;
	struct buf buf = BUF_INIT;

	/* What is a packet is written as the same bytes. */
	if (intake_get(data, size, &packet)) {
		intake_put(&buf, &packet);
		assert(buf.length == size);
		assert(memcmp(buf.data, data, size) == 0);
	}
	buf_release(&buf);
	return 0;
}
