/* SPDX-License-Identifier: ISC */
/* New keys of a node: for tools, as what calls this is linked with libzmq. */
#ifndef CLUSTER_KEYS_H
#define CLUSTER_KEYS_H

#include "base/buf.h"
#include "base/error.h"
#include "cluster/identity.h"

/*
 * A new CURVE key: the public one, and the text of its file (which the caller
 * wipes and releases).  0 or -1.
 */
int cluster_key_make(char public_out[CLUSTER_KEY_SIZE], struct buf *file_out,
    struct error *err);

#endif
