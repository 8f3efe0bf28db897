/* SPDX-License-Identifier: ISC */
/* The conversation of qmail-vdeliver with qmail-send (queue/job.h). */
#ifndef DELIVERY_WORKER_H
#define DELIVERY_WORKER_H

#include <signal.h>

#include "base/error.h"
#include "delivery/vdeliver.h"

/*
 * Says hello on fd, then takes jobs in batches (one that has arrived and all
 * that wait behind it) and answers each, until the other side is gone or
 * *is_stopping, which a signal sets that is blocked but for waiting (its mask
 * while waiting is wait_mask).  Jobs not yet taken then stay unanswered.
 *
 * Returns 0; or -1 with the reason, when the other side does not speak the
 * same language, or when memory was short in a batch: a new process has more.
 * A batch that has begun is always finished.
 */
int worker_serve(int fd, struct vdeliver *vdeliver,
    const volatile sig_atomic_t *is_stopping, const sigset_t *wait_mask,
    struct error *err);

#endif
