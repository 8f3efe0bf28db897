/* SPDX-License-Identifier: ISC */
/* Hands a connection on to a program. */
#ifndef BASE_RELAY_H
#define BASE_RELAY_H

#include "base/stream.h"

/*
 * Passes bytes between the stream, whose peer is at stream_fd, and the socket
 * fd until one of them has ended or nothing came for idle_ms.  What the program
 * says after its peer has ended goes out still.
 */
void relay_run(struct stream *stream, int stream_fd, int fd, int idle_ms);

#endif
