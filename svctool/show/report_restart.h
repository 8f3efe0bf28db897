/* SPDX-License-Identifier: ISC */
/* Which services end again and again? */
#ifndef SVCTOOL_SHOW_REPORT_RESTART_H
#define SVCTOOL_SHOW_REPORT_RESTART_H

#include <stdbool.h>
#include <time.h>

#include "svctool/show/report.h"

/*
 * Was it started again a moment ago, while its log runs for longer?  Such a
 * service looks up at any moment: supervise starts it once a second.
 */
bool report_is_young(const struct report_service *service, time_t now);

/*
 * Looks again at the services that are young, until each has either ended, or
 * lived for longer than a moment.  Sets is_restarting.
 */
void report_find_restarting(const struct node *node, struct report *report);

#endif
