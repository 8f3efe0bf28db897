/* SPDX-License-Identifier: ISC */
/*
 * The lines of a reply (RFC 5321 4.2), with the enhanced status code of RFC
 * 2034 in front of the text where the client was told of it.
 */
#ifndef SMTP_REPLY_H
#define SMTP_REPLY_H

#include <stdbool.h>
#include <stddef.h>

/* RFC 5321 4.5.3.1.5: with code and CRLF. */
enum { SMTP_REPLY_MAX = 512 };

/*
 * Writes one line, CRLF and '\0' at its end, and returns its length without
 * the '\0'.  status ("5.7.1") may be NULL or "".  What is not printable ASCII
 * in text becomes '?'; what is too long is cut off.
 */
size_t smtp_reply_format(char out[SMTP_REPLY_MAX + 1], int code, bool is_last,
    const char *status, const char *text);

#endif
