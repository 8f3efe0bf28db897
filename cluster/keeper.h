/* SPDX-License-Identifier: ISC */
/*
 * Looks each second how this node is, and writes domains.cdb and nodes.cdb
 * whenever there is something new for them.
 */
#ifndef CLUSTER_KEEPER_H
#define CLUSTER_KEEPER_H

/* Threads, of a struct state, until that stops. */
void *keeper_look(void *state);
void *keeper_write(void *state);

#endif
