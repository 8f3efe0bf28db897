/* SPDX-License-Identifier: ISC */
/* Parts of delivery/local.c: what a line does. */
#ifndef DELIVERY_LOCAL_PRIVATE_H
#define DELIVERY_LOCAL_PRIVATE_H

#include "base/vars.h"
#include "delivery/local.h"

/* The variables of qmail-command(8). */
void local_set_variables(
    const struct local_delivery *delivery, struct vars *vars);

/* Delivers to the Maildir or mbox that a line names, durably; adds to result.
 */
void local_to_maildir(const struct local_delivery *delivery, const char *path,
    struct local_result *result);
void local_to_mbox(const struct local_delivery *delivery, const char *path,
    struct local_result *result);

#endif
