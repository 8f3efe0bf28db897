/* SPDX-License-Identifier: ISC */
/*
 * A message on its way to a client (RFC 1939 3): CRLF at line ends, also at
 * that of the last line, and a dot before each line that begins with one.
 */
#ifndef POP3_BODY_H
#define POP3_BODY_H

#include <stdint.h>

#include "base/error.h"
#include "base/stream.h"

enum { POP3_ALL_LINES = -1 };

/*
 * Sends the file, or its header, the empty line and so many lines more (TOP),
 * and the line that ends the answer.  0; or -1 with the reason when the file
 * cannot be read: then the answer has no end, and the session must.  What the
 * stream thinks of it the next flush says.
 */
int pop3_body_send(
    struct stream *stream, int fd, int64_t lines, struct error *err);

#endif
