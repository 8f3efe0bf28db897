/* SPDX-License-Identifier: ISC */
/*
 * Reads the cluster's nodes and domains, when the database's change log or a
 * notification says that there is something new, and now and then anyhow.
 */
#ifndef CLUSTER_FOLLOW_H
#define CLUSTER_FOLLOW_H

/* A thread, of a struct state, until that stops. */
void *follow_run(void *state);

#endif
