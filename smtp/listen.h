/* SPDX-License-Identifier: ISC */
/* qmail-smtpd as a daemon: a listener whose sessions are threads. */
#ifndef SMTP_LISTEN_H
#define SMTP_LISTEN_H

#include "base/error.h"
#include "control/home.h"
#include "smtp/options.h"

/*
 * Listens and serves until TERM or INT; HUP reads the settings again.  Blocks
 * those signals for the process.  0 after an end in good order; else the exit
 * code (100: a mistake in the settings, 111: trouble that may pass), with the
 * reason.
 */
int smtp_listen(const struct home *home, const struct smtp_options *options,
    struct error *err);

/*
 * Would smtp_listen() serve, were its port free?  Reads all that it reads, with
 * the process's environment, as the user who serves, which the process becomes
 * for good.  0, or -1 with the same reason.
 */
int smtp_listen_check(const struct home *home,
    const struct smtp_options *options, struct error *err);

#endif
