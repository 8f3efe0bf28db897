/* SPDX-License-Identifier: ISC */
/*
 * A listener for the other nodes of the cluster: who is one, and what its
 * messages are called here (docs/protocol.md, XNODE).
 *
 * A message keeps the UUID that the node gave it as far as that can be.  What a
 * queue has had of one UUID it takes for the same message, and of one message
 * come several transactions: other recipients, when some were deferred or are
 * many; the same ones, when it comes back after a mailbox was moved.  So the
 * UUID here is made of that one, the recipients, and how often it has gone from
 * node to node: whatever is sent again, as its answer was lost, has the same
 * one, and nothing else has.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "queue/exitcode.h"
#include "smtp/session_private.h"

int
smtp_node_identify(struct smtp_session *session, struct error *err)
{
	AUTO(cluster_node_release) struct cluster_node node = { .name = NULL };
	char pin[CERTIFICATE_PIN_SIZE];
	int found;

	session->node[0] = '\0';
	if (!session->kind->is_node ||
	    !stream_tls_peer_pin(session->stream, pin))
		return 0;
	found = cluster_node_find_pin(session->server->nodes, pin, &node, err);
	if (found == 1)
		snprintf(session->node, sizeof(session->node), "%s", node.name);
	return found;
}

bool
smtp_policy_node(struct smtp_session *session)
{
	struct error err = { "" };
	int found;

	if (stream_tls_version(session->stream) == NULL) {
		smtp_reply(
		    session, 530, "5.7.0", "say STARTTLS first, this is for "
					   "nodes of a cluster");
		return false;
	}
	/* Each time: it may have been revoked since it connected. */
	found = smtp_node_identify(session, &err);
	if (found == 1)
		return true;
	if (found == -1) {
		smtp_log(session, "cannot tell who it is: %s", err.text);
		smtp_reply(session, 451, "4.3.0",
		    "Sorry, I'm unable to read who is in my cluster");
		return false;
	}
	/* It may be one of which this node has not heard yet: its mail waits. */
	smtp_log(session, "is no node of the cluster");
	smtp_reply(session, 421, "4.7.0",
	    "your certificate is of no node of my cluster");
	session->is_over = true;
	return false;
}

static int
compare_addresses(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void
smtp_node_uuid(const struct smtp_session *session, struct uuid *uuid_out)
{
	const struct smtp_transaction *transaction = &session->transaction;
	size_t count = transaction->recipient_count;
	AUTO(mem_free)
	const char **addresses = xcalloc(count + 1, sizeof(*addresses));
	AUTO(buf_release) struct buf text = BUF_INIT;

	for (size_t i = 0; i < count; i++)
		addresses[i] = transaction->recipients[i].address;
	qsort(addresses, count, sizeof(*addresses), compare_addresses);
	buf_addf(&text, "%u", transaction->cluster_hops);
	for (size_t i = 0; i < count; i++) {
		buf_addc(&text, '\0');
		buf_adds(&text, addresses[i]);
	}
	*uuid_out = transaction->uuid;
	uuid_derive(uuid_out, text.data, text.length);
}
