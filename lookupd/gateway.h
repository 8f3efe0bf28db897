/* SPDX-License-Identifier: ISC */
/*
 * Other nodes ask by ZeroMQ: ROUTER sockets on tcp:// with CURVE, on a thread of
 * their own, which asks the loop as a client of run/lookup.
 */
#ifndef LOOKUPD_GATEWAY_H
#define LOOKUPD_GATEWAY_H

#include "base/error.h"
#include "base/strlist.h"

struct gateway;

/*
 * By the settings lookuplisten and lookuppeers, of which the former has a line
 * at least: reads the keys.  NULL with the reason.
 */
struct gateway *gateway_new(const struct strlist *listen,
    const struct strlist *peers, const char *socket_path, struct error *err);
/* Once the process has its user, and the socket is served.  0 or -1. */
int gateway_start(struct gateway *gateway, struct error *err);
void gateway_free(struct gateway **gateway);

/* A new secret key into a file that is not there yet; prints the public one. */
int gateway_make_key(const char *path, struct error *err);

#endif
