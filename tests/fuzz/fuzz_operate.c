/* SPDX-License-Identifier: ISC */
/*
 * The packets between operators and qmail-rspawn: whatever is accepted is
 * written again as the same bytes.
 */
#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "remote/operate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_same(struct buf *packet, enum operate_packet type, const uint8_t *data,
    size_t size)
{
	assert(operate_packet_type(data, size) == (int)type);
	assert(packet->length == size);
	assert(memcmp(packet->data, data, size) == 0);
	buf_reset(packet);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct operate_destination destination;
	struct operate_request request;
	struct operate_end end;
	struct buf packet = BUF_INIT;

	if (operate_get_request(data, size, &request)) {
		operate_put_request(&packet, &request);
		check_same(&packet, OPERATE_REQUEST, data, size);
	}
	if (operate_get_end(data, size, &end)) {
		operate_put_end(&packet, &end);
		check_same(&packet, OPERATE_END, data, size);
	}
	if (operate_get_destination(data, size, &destination)) {
		operate_put_destination(&packet, &destination);
		check_same(&packet, OPERATE_DESTINATION, data, size);
		assert(*operate_state_name(destination.state) != '\0');
	}
	buf_release(&packet);
	return 0;
}
