/* SPDX-License-Identifier: ISC */
/*
 * What the keeper does on disk for a batch of jobs: private to queue/keep*.c,
 * used by its thread only.
 */
#ifndef QUEUE_KEEP_STEP_H
#define QUEUE_KEEP_STEP_H

#include "queue/keep_sync.h"

/*
 * Does all jobs of the list, of which no two are of one message, and sets their
 * results.
 */
void keep_run(struct keep_syncs *syncs, struct keep_job *jobs);

#endif
