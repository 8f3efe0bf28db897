/* SPDX-License-Identifier: ISC */
/*
 * A mailbox of an envelope as it stands in a message.  In an envelope the local
 * part is without quotes, and may hold blanks, '@' and whatever else a client
 * has quoted.
 */
#ifndef BASE_MAILBOX_TEXT_H
#define BASE_MAILBOX_TEXT_H

#include <stdbool.h>

#include "base/buf.h"

/*
 * Puts the mailbox (local part, last '@', domain; or a local part alone), its
 * local part quoted where RFC 5321 4.1.2 wants it.  Control bytes, which could
 * end a line, become '_'.  "" puts nothing.
 */
void mailbox_put_quoted(struct buf *buf, const char *mailbox);

/* Whether the local part has the form of a Quoted-string already. */
bool mailbox_is_quoted(const char *mailbox);

#endif
