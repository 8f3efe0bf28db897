/* SPDX-License-Identifier: ISC */
/*
 * Which addresses are this node's own: mail that would go there would come
 * back.
 */
#ifndef CONTROL_OWN_ADDRESSES_H
#define CONTROL_OWN_ADDRESSES_H

#include <sys/socket.h>

#include "base/error.h"
#include "control/settings.h"

/* Read-only: threads may share it. */
struct own_addresses;

/* The settings moreipme and notipme. */
struct own_addresses *own_addresses_new(const struct settings *settings);
void own_addresses_free(struct own_addresses **own);

/*
 * Those of the interfaces as they are now, all loopback and the unspecified
 * ones, and moreipme, without notipme.  1 ours, 0 not, -1 could not tell.
 */
int own_addresses_has(const struct own_addresses *own,
    const struct sockaddr *address, struct error *err);

#endif
