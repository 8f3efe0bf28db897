/* SPDX-License-Identifier: ISC */
/* Figures of a node in Prometheus' text form (version 0.0.4). */
#ifndef ADMINSRV_SERVER_METRICS_H
#define ADMINSRV_SERVER_METRICS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/*
 * status: what "svctool status --json" says; nodes: the rows of mq.live_nodes
 * as JSON, or NULL: the database is away.  0, or -1: status is no such thing.
 */
int metrics_write(const char *status, size_t length, const char *nodes,
    struct buf *text);

#endif
