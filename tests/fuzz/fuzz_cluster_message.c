/* SPDX-License-Identifier: ISC */
/*
 * Messages of the bus: what is accepted is written, and read again, as the same;
 * and the file of leases, which other programs read.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "cluster/message.h"
#include "control/cluster_leases.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
try_message(const uint8_t *data, size_t size)
{
	struct buf text = BUF_INIT;
	struct message message, again;

	if (message_read(data, size, &message) != MESSAGE_FINE)
		return;
	/* What JSON says in few bytes may take more of them here. */
	if (message_write(&message, &text) == 0) {
		assert(message_read(text.data, text.length, &again) ==
		    MESSAGE_FINE);
		assert(strcmp(message.node, again.node) == 0);
		assert(uuid_is_equal(&message.instance, &again.instance));
		assert(message.epoch == again.epoch);
		assert(json_equal(message.health, again.health));
		assert(message_judge(&message, &again) == MESSAGE_REPLAYED);
		message_release(&again);
	}
	message_release(&message);
	buf_release(&text);
}

static void
try_leases(const uint8_t *data, size_t size)
{
	struct buf text = BUF_INIT;
	struct cluster_lease_list list;
	struct error err;

	buf_add(&text, data, size);
	if (cluster_lease_list_parse(&text, &list, &err) == 0) {
		assert(strchr(list.node, ' ') == NULL);
		for (size_t i = 0; i < list.count; i++) {
			assert(*list.leases[i].store != '\0');
			assert(*list.leases[i].path != '\0');
			assert(list.leases[i].deadline_ms >= 0);
		}
	}
	cluster_lease_list_release(&list);
	buf_release(&text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	try_message(data, size);
	try_leases(data, size);
	return 0;
}
