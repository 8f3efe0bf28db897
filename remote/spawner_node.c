/* SPDX-License-Identifier: ISC */
/*
 * Lanes of other nodes of the cluster: what nodes.cdb says of a node counts at
 * once, though the lane rests, or a connection is open.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/log_text.h"
#include "base/mem.h"
#include "remote/node.h"
#include "remote/spawner_private.h"

/* One that had a lane, and what was said of it last; nodes are few. */
struct seen_node {
	SLIST_ENTRY(seen_node) in_spawner;
	struct cluster_node record; /* name NULL: nothing */
	char lane[];
};

/* Does nodes.cdb say something else than before?  Not, when it is unreadable. */
static bool
has_changed(const struct cluster_nodes *nodes, struct seen_node *seen)
{
	struct cluster_node now = { .name = NULL };
	struct error err;
	bool is_same;

	if (cluster_node_find(nodes, seen->lane + 1, &now, &err) == -1)
		return false;
	is_same = now.storage.length == seen->record.storage.length &&
	    (now.storage.length == 0 ||
		memcmp(now.storage.data, seen->record.storage.data,
		    now.storage.length) == 0);
	cluster_node_release(&seen->record);
	seen->record = now;
	return !is_same;
}

void
nodes_watch(struct spawner *spawner, const char *lane)
{
	struct seen_node *seen;

	SLIST_FOREACH(seen, &spawner->seen_nodes, in_spawner)
		if (strcmp(seen->lane, lane) == 0)
			return;
	seen = xcalloc(1, sizeof(*seen) + strlen(lane) + 1);
	memcpy(seen->lane, lane, strlen(lane));
	has_changed(spawner->nodes, seen);
	SLIST_INSERT_HEAD(&spawner->seen_nodes, seen, in_spawner);
}

void
nodes_tick(struct spawner *spawner)
{
	struct seen_node *seen;

	if (!cluster_nodes_have_changed(spawner->nodes))
		return;
	SLIST_FOREACH(seen, &spawner->seen_nodes, in_spawner) {
		char word[CLUSTER_NODE_NAME_MAX + 1];

		if (!has_changed(spawner->nodes, seen))
			continue;
		log_word(word, sizeof(word), seen->lane + 1);
		log_line("node %s: %s", word,
		    seen->record.name == NULL        ? "there is none any more"
			: seen->record.pins.count == 0 &&
			    !node_is_legacy(&seen->record)
			? "has no keys that are good"
			: seen->record.is_alive ? "alive"
						: "not alive");
		operate_look_anew(spawner, seen->lane);
	}
}
