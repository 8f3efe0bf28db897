/* SPDX-License-Identifier: ISC */
/* How the kernel shares its processors between us and others. */
#include "base/batch_policy.h"

#include <sched.h>

void
batch_policy_set(void)
{
	static const struct sched_param priority = { .sched_priority = 0 };

	/* Whoever gave us another policy than the ordinary one meant it. */
	if (sched_getscheduler(0) == SCHED_OTHER)
		sched_setscheduler(0, SCHED_BATCH, &priority);
}
