/* SPDX-License-Identifier: ISC */
/*
 * The bus: this node tells the others how it is, by a PUB socket, and hears
 * them by a SUB socket for each.
 *
 * Both sides have CURVE keys, those of the rows; nobody else gets as far as a
 * subscription.  A socket that hears one key's owner gives each message a
 * sender who cannot be another.  When a key is good no more, the connections
 * that were made with it are ended.
 */
#ifndef CLUSTER_BUS_H
#define CLUSTER_BUS_H

#include "cluster/state.h"

struct bus;

/*
 * Begins with ZeroMQ, which starts threads of its own: before the process gives
 * up what they need.  NULL with the reason.  Freed when its thread has ended.
 */
struct bus *bus_new(struct state *state, struct error *err);
void bus_free(struct bus **bus);

/* A thread, of the bus, until the state stops. */
void *bus_run(void *bus);

#endif
