/* SPDX-License-Identifier: ISC */
/* qmail-pop3d as a daemon: a listener whose sessions are threads. */
#ifndef POP3_LISTEN_H
#define POP3_LISTEN_H

#include "base/error.h"
#include "control/home.h"
#include "smtp/options.h"

/*
 * Listens and serves until TERM or INT; HUP reads the settings again.  Blocks
 * those signals for the process.  0 after an end in good order; else the exit
 * code (100: a mistake in the settings, 111: trouble that may pass), with the
 * reason.
 */
int pop3_listen(const struct home *home, const struct smtp_options *options,
    struct error *err);

/*
 * Would pop3_listen() serve, were its port free?  As smtp_listen_check() in
 * smtp/listen.h.
 */
int pop3_listen_check(const struct home *home,
    const struct smtp_options *options, struct error *err);

#endif
