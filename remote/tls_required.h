/* SPDX-License-Identifier: ISC */
/* The header field TLS-Required (RFC 8689 5). */
#ifndef REMOTE_TLS_REQUIRED_H
#define REMOTE_TLS_REQUIRED_H

#include <stdbool.h>
#include <stddef.h>

#include "remote/session.h"

enum { TLS_REQUIRED_HEADER_MAX = 256 * 1024 };

/*
 * Does the header, of lines with LF, have exactly one such field, and does it
 * say No?  What is behind an empty line does not count.
 */
bool tls_required_is_no(const char *header, size_t length);

/*
 * May the message go without the TLS that a domain publishes that it wants: by
 * the field, unless it needs REQUIRETLS?  1, 0, or -1 when it cannot be read.
 * Of its header so many bytes count.
 */
int tls_required_examine(const struct session_message *message);

#endif
