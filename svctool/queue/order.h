/* SPDX-License-Identifier: ISC */
/* What a running queue is told over its intake (queue/intake_packet.h). */
#ifndef SVCTOOL_QUEUE_ORDER_H
#define SVCTOOL_QUEUE_ORDER_H

#include <stdint.h>

#include "base/error.h"
#include "queue/intake_packet.h"
#include "svctool/queue/select.h"

/* A connection to the queue's intake, or -1 with the reason and remedy. */
int order_connect(
    const char *queue, const char *path, unsigned timeout_s, struct error *err);

/* What became of a word: enum qq, INTAKE_ABSENT, or -1; the reason unless 0. */
int order_message(int connection, enum intake_action action, uint64_t id,
    const char *reason, struct error *err);
int order_lane(int connection, enum intake_action action, const char *lane,
    struct error *err);

/* Was a message of this UUID committed there?  As above. */
int order_ask(int connection, const struct uuid *uuid, struct error *err);

/* Hands a kept message in, with all that was done of it.  As above. */
int order_import(
    int connection, const struct chosen *chosen, struct error *err);

#endif
