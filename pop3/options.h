/* SPDX-License-Identifier: ISC */
/* The command line of the listener qmail-pop3d. */
#ifndef POP3_OPTIONS_H
#define POP3_OPTIONS_H

#include "smtp/options.h"

/*
 * --listen, --shared and --pop3s: address and port as of qmail-smtpd, and
 * kind.has_tls_first.  pop3s is the variable POP3S, or NULL: not empty means
 * --pop3s.  0, or -1 with what is wrong.
 */
int pop3_options_parse(struct smtp_options *options, char *const *args,
    const char *pop3s, struct error *err);

#endif
