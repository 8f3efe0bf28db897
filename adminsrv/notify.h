/* SPDX-License-Identifier: ISC */
/* Tells the running daemons that control files have changed. */
#ifndef ADMINSRV_NOTIFY_H
#define ADMINSRV_NOTIFY_H

#include "base/error.h"

/*
 * Sends HUP to every qmail-send, qmail-smtpd and qmail-pop3d that has a pid
 * file (run/qmail-send.*.pid and so on).  A pid whose process is gone,
 * or is another program by now, is left alone.  0, or -1 when a daemon that is
 * there could not be told.
 */
int notify_daemons(const char *run_dir, struct error *err);

#endif
