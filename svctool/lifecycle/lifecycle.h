/* SPDX-License-Identifier: ISC */
/* Starting and stopping all of a node. */
#ifndef SVCTOOL_LIFECYCLE_LIFECYCLE_H
#define SVCTOOL_LIFECYCLE_LIFECYCLE_H

#include <stdbool.h>

#include "base/error.h"
#include "svctool/node.h"
#include "svctool/run/proc.h"

/*
 * Starts svscan, unless it runs, and waits until every service is ready that is
 * not down by wish; *down_out: how many are.  What an earlier, broken run left
 * is stopped first.  0, or -1; what is up then goes on.
 */
int lifecycle_start(const struct node *node, unsigned timeout_s,
    unsigned *down_out, struct error *err);

/*
 * Tells every service to end and waits until no process of the node is left;
 * after timeout_s those that remain are killed.  0, also when nothing ran; -1.
 */
int lifecycle_stop(
    const struct node *node, unsigned timeout_s, struct error *err);

/*
 * As session_list(), but -1 when the services are kept up by something that we
 * neither started nor find.
 */
int lifecycle_list(const struct node *node, const struct strlist *services,
    struct proc_list *list_out, struct error *err);

/* Was its folder removed, while processes of it run on? */
bool lifecycle_is_left(const struct node *node);

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
