/* SPDX-License-Identifier: ISC */
/* Sends the reports on TLS of a day. */
#ifndef SVCTOOL_SHOW_TLS_REPORT_SEND_H
#define SVCTOOL_SHOW_TLS_REPORT_SEND_H

#include <jansson.h>

#include "base/error.h"
#include "svctool/node.h"

/*
 * rows: those of the day, in any order.  Each target that a domain names gets
 * its report once: that it is being sent is noted durably before, in
 * run/tls-report/DAY.sent, and that it failed, behind; so one that a crash cut
 * off is not sent again.  Prints a line for each.
 *
 * Call as the user of remote delivery.  The number of reports that could not be
 * sent, or -1 with the reason.
 */
int tls_report_send(
    const struct node *node, const char *day, json_t *rows, struct error *err);

#endif
