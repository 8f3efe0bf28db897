/* SPDX-License-Identifier: ISC */
/* Waiting for the services of a node that was just started. */
#ifndef SVCTOOL_LIFECYCLE_WAIT_UP_H
#define SVCTOOL_LIFECYCLE_WAIT_UP_H

#include "base/error.h"
#include "svctool/args.h"
#include "svctool/node.h"

struct wait_up;

/* Before the start: notes where the logs end.  The services are borrowed. */
struct wait_up *wait_up_begin(
    const struct node *node, const struct strlist *services);
void wait_up_free(struct wait_up **wait);

/*
 * Waits until all are ready at once, at most timeout_s, and says of each what
 * became of it; of one that is not ready also the last lines that it wrote to
 * its log since wait_up_begin().  A service that is down by wish is not waited
 * for.  *down_out: how many are.  0, or -1 when one that should be up is not.
 */
int wait_up_end(struct wait_up *wait, unsigned timeout_s, unsigned *down_out,
    struct error *err);

#endif
