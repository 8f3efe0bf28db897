/* SPDX-License-Identifier: ISC */
/* A message's header field TLS-Required (RFC 8689 5; queue/tls_wish.h). */
#ifndef REMOTE_TLS_REQUIRED_H
#define REMOTE_TLS_REQUIRED_H

#include "remote/session.h"

/*
 * May the message go without the TLS that a domain publishes that it wants: by
 * the field, unless it needs REQUIRETLS?  1, 0, or -1 when it cannot be read.
 */
int tls_required_examine(const struct session_message *message);

#endif
