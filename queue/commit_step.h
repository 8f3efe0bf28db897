/* SPDX-License-Identifier: ISC */
/*
 * What a batch of the committer does for one job: private to queue/commit*.c,
 * used by its thread only.  The order is in run_batch() of queue/commit.c.
 */
#ifndef QUEUE_COMMIT_STEP_H
#define QUEUE_COMMIT_STEP_H

#include "queue/commit_batch.h"

/* Contents, which the first sync covers. */
void commit_write(struct commit_batch *batch, struct commit_job *job);
/* Names, and what may only follow the contents; the late sync covers them. */
void commit_place(struct commit_batch *batch, struct commit_job *job);
/* Undoes what failed, closes what was opened. */
void commit_end(struct commit_batch *batch, struct commit_job *job);

#endif
