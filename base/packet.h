/* SPDX-License-Identifier: ISC */
/*
 * Packets between processes of one node: Unix sockets of type SEQPACKET, which
 * keep packet borders, may carry one descriptor each, and tell both sides who
 * the other is.
 */
#ifndef BASE_PACKET_H
#define BASE_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"

/* No packet is larger: the kernel copies it whole. */
enum { PACKET_MAX = 60000 };

/* No path of a socket has more bytes (sun_path). */
enum { PACKET_PATH_MAX = 107 };

/*
 * Makes (replacing a dead one) a listening socket with mode.  Returns a
 * close-on-exec, non-blocking descriptor that the caller closes, or -1, which
 * keeps errno.
 */
int packet_listen(const char *path, mode_t mode, struct error *err);

/*
 * Connects; the descriptor is blocking and close-on-exec.  No wait on it, now
 * or later, takes longer than timeout_ms: then it is EAGAIN.  -1 keeps errno.
 */
int packet_connect_within(const char *path, int timeout_ms, struct error *err);

/*
 * Does somebody listen there?  Never waits: who has no time to accept, or
 * hangs, still listens.
 */
bool packet_is_served(const char *path);

/*
 * Sends one packet, with the descriptor pass_fd unless it is -1 (it stays the
 * caller's).  flags: MSG_DONTWAIT or 0.  Returns 0, or -1 with errno.
 */
int packet_send(
    int fd, const void *data, size_t length, int pass_fd, int flags);

/*
 * Receives one packet.  Returns its length; 0 when the other side has gone;
 * -1 with errno (EAGAIN, EMSGSIZE for one larger than size, or EBADMSG for one
 * with several descriptors, of which none stays open).
 * *passed_fd_out is a descriptor that the caller now owns, or -1.
 */
ssize_t packet_receive(
    int fd, void *data, size_t size, int *passed_fd_out, int flags);

/*
 * Closing a descriptor that a stranger sent can take as long as he likes.
 * packet_refuse_fds: a listening socket's clients, or one connection's, cannot
 * send any (Linux 6.16); false where the kernel has no such thing.
 * packet_has_fds: does the next packet bring one?  Nothing is taken up.
 */
bool packet_refuse_fds(int fd);
bool packet_has_fds(int fd);

/* The user of the process at the other end, as the kernel says.  0 or -1. */
int packet_peer(int fd, uid_t *uid_out, pid_t *pid_out);

#endif
