/* SPDX-License-Identifier: ISC */
/*
 * Texts of systemd units.  A unit runs the service's own run file, so there is
 * one place that says how; the journal takes what multilog would.
 */
#ifndef SVCTOOL_RUN_SYSTEMD_UNIT_H
#define SVCTOOL_RUN_SYSTEMD_UNIT_H

#include <stdbool.h>

#include "base/buf.h"

/*
 * folder: of the service; user: who runs it, or NULL (root).  A queue's
 * processes get time to finish.
 */
void systemd_unit_service(struct buf *buf, const char *name, const char *folder,
    const char *user, bool is_queue);

/*
 * mqmail.target, in two steps: its head, and then what brings up one service
 * when the target starts.
 */
void systemd_unit_target(struct buf *buf);
void systemd_unit_target_service(struct buf *buf, const char *name);

#endif
