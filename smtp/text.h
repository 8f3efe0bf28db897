/* SPDX-License-Identifier: ISC */
/* Bytes of a peer, made fit for a header field and a reply. */
#ifndef SMTP_TEXT_H
#define SMTP_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/*
 * Puts text behind what buf holds, at most max bytes of it, for a Received
 * field: letters, digits and .@%+/=:_~-[] stay, all else becomes '?'.
 */
void smtp_text_put_header(struct buf *buf, const char *text, size_t max);

/* True when a reply may show it: printable ASCII, no brackets, no blanks. */
bool smtp_text_is_plain(const char *text);

/*
 * The enhanced status code at the end of a text, as in "... (#5.7.1)": points
 * to its first digit, *length_out digits and dots; NULL when there is none.
 */
const char *smtp_text_status(const char *text, size_t *length_out);

#endif
