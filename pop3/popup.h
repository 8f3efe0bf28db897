/* SPDX-License-Identifier: ISC */
/*
 * qmail-popup: lets users in by a checkpassword program, which then runs the
 * server of their mail.  That speaks on a socket of ours, and what it says is
 * passed on: so TLS ends here, and what a client sent ahead is not lost.
 */
#ifndef POP3_POPUP_H
#define POP3_POPUP_H

#include "pop3/session.h"

/* options.context is its command line, NULL-ended. */
pop3_let_in pop3_let_in_program;

#endif
