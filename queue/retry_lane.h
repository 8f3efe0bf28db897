/* SPDX-License-Identifier: ISC */
/* Has queues try a remote lane now, for a client of ours (ETRN). */
#ifndef QUEUE_RETRY_LANE_H
#define QUEUE_RETRY_LANE_H

#include "base/error.h"

/*
 * Tells all queues in the folder base.  domain: canonical; client_ip: who asks,
 * whom etrnhosts must allow, or queues that do not trust us more will refuse.
 * How many queues have mail there; -1, with a reason, when there is none and
 * not all queues could be asked.
 */
int retry_lane(const char *base, const char *domain, const char *client_ip,
    struct error *err);

#endif
