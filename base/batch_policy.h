/* SPDX-License-Identifier: ISC */
/* How the kernel shares its processors between us and others. */
#ifndef BASE_BATCH_POLICY_H
#define BASE_BATCH_POLICY_H

/*
 * From now on this thread, and what it starts, is scheduled as SCHED_BATCH
 * (sched(7)): it gets its share as ever, but does not break into the turn of
 * another when it wakes.  The daemons wake each other several times a message;
 * on busy processors each such interruption costs more than the wait.  Called
 * before the first thread.  Where it is not allowed nothing changes.
 */
void batch_policy_set(void);

#endif
