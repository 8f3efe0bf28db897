/* SPDX-License-Identifier: ISC */
/*
 * One change at a time: users/.lock for the node's domains, .vpasswd.lock in a
 * domain's folder for its users.  Whoever needs both takes the node's first.
 * The kernel ends a lock with its process.
 */
#ifndef ADMINSRV_LOCK_H
#define ADMINSRV_LOCK_H

#include "base/error.h"

/*
 * Waits for the lock on a file, which is made if it is missing.  A descriptor
 * that holds it until the caller closes it, or -1.
 */
int lock_take(const char *path, struct error *err);

#endif
