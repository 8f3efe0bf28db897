/* SPDX-License-Identifier: ISC */
/*
 * How this node is, for the others: a JSON object.
 *
 *	queues		of each: state (or "silent"), backlog, todo, commit_us,
 *			free_bytes, delivered, deferred and failed since its start,
 *			delivered_10s, is_held, damaged
 *	services	those that can be seen from outside: name, is_up
 *	lookup		is_up; database: "up", "away" ...
 *	free_bytes	of the filesystem of the node
 *	load		the three averages
 *	memory_free_bytes
 */
#ifndef CLUSTER_HEALTH_H
#define CLUSTER_HEALTH_H

#include <jansson.h>

#include "control/home.h"

/* Remembers what is told as a rate.  Used by one thread. */
struct node_health;
struct node_health *node_health_new(const struct home *home);
void node_health_free(struct node_health **health);

/* May wait for lookupd, and for the disk.  The caller's. */
json_t *node_health_look(struct node_health *health);

#endif
