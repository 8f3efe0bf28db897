/* SPDX-License-Identifier: ISC */
/* The conversation of qmail-vdeliver with qmail-send (queue/job.h). */
#ifndef DELIVERY_WORKER_H
#define DELIVERY_WORKER_H

#include <signal.h>
#include <stdint.h>

#include "base/error.h"
#include "delivery/vdeliver.h"

struct worker;

/*
 * At most so many recipients, and bytes of small messages, in hand; large ones
 * are taken besides them.  fd, the connection, stays the caller's.
 */
struct worker *worker_new(int fd, uint32_t recipients, uint64_t bytes);
void worker_free(struct worker **worker);

/* vdeliver's answer (struct vdeliver_config), its context the worker. */
void worker_answer(const struct vdeliver_item *item, void *context);

/*
 * Says hello, then takes jobs and answers each, until the other side is gone or
 * *is_stopping, which a signal sets that is blocked but for waiting (its mask
 * while waiting is wait_mask).  Jobs not yet taken then stay unanswered.
 *
 * Returns 0; or -1 with the reason, when the other side does not speak the
 * same language, or when memory was short: a new process has more.  What was
 * taken is always finished first.
 */
int worker_serve(struct worker *worker, struct vdeliver *vdeliver,
    const volatile sig_atomic_t *is_stopping, const sigset_t *wait_mask,
    struct error *err);

#endif
