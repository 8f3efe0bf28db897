/* SPDX-License-Identifier: ISC */
/*
 * Any bytes as a record of nodes.cdb: what is told of them lies inside, and
 * written down again it is the same node.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "control/cluster_nodes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
put_node(struct buf *value, const struct cluster_node *node)
{
	buf_addf(value, "%s%c%u%c", node->host, '\0', node->smtp_port, '\0');
	for (size_t i = 0; i < node->pins.count; i++)
		buf_addf(value, "%s%s", i > 0 ? "," : "", node->pins.items[i]);
	buf_addf(value, "%c%s%c%u%c%u%c%d", '\0', node->role, '\0',
	    node->imap_port, '\0', node->pop3_port, '\0', node->is_alive);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cluster_node node = { .name = NULL }, again = { .name = NULL };
	struct buf value = BUF_INIT;
	struct error err = { "" };

	if (cluster_node_read(
		"n", 1, (const char *)data, size, &node, &err) == -1) {
		assert(err.text[0] != '\0' && node.name == NULL);
		return 0;
	}
	assert(strcmp(node.name, "n") == 0 && *node.host != '\0');
	assert(node.host + strlen(node.host) <
	    node.storage.data + node.storage.length);
	put_node(&value, &node);
	assert(cluster_node_read(
		   "n", 1, value.data, value.length, &again, &err) == 0);
	assert(strcmp(node.host, again.host) == 0 &&
	    strcmp(node.role, again.role) == 0 &&
	    node.pins.count == again.pins.count &&
	    node.smtp_port == again.smtp_port &&
	    node.is_alive == again.is_alive);
	buf_release(&value);
	cluster_node_release(&node);
	cluster_node_release(&again);
	return 0;
}
