/* SPDX-License-Identifier: ISC */
/*
 * The lease of this node, and those of its stores: taken, renewed, and let go.
 *
 * The deadline is that of the holder's own clock at the time the statement was
 * sent, plus the lease, less a margin.  A holder that finds it passed, however
 * that came, begins anew with another epoch.
 */
#ifndef CLUSTER_LEASE_H
#define CLUSTER_LEASE_H

/* A thread, of a struct state, until that stops. */
void *lease_run(void *state);

#endif
