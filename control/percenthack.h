/* SPDX-License-Identifier: ISC */
/* percenthack: addresses that name the next host in their local part. */
#ifndef CONTROL_PERCENTHACK_H
#define CONTROL_PERCENTHACK_H

#include "control/settings.h"

/*
 * Rewrites user%host@gate to user@host, in place, as long as gate is one of
 * the list's names (without case).  What has no '@' or '%' stays.
 */
void percenthack_apply(const struct strlist *gates, char *address);

#endif
