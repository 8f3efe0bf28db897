/* SPDX-License-Identifier: ISC */
/* The mailboxes of From and Sender (RFC 5322 3.4), as a reader is shown them. */
#ifndef SMTP_AUTHOR_H
#define SMTP_AUTHOR_H

#include "base/buf.h"

/*
 * The next mailbox of lists of addresses, each but the last with NUL behind it,
 * which *at moves over: local part
 * without quotes, "@", domain.  1; 0 the list is over; -1 it is not such a
 * list: two readers might take it for different ones, so nobody should.
 */
int author_next(const char **at, const char *end, struct buf *address_out);

#endif
