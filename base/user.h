/* SPDX-License-Identifier: ISC */
/* Giving up root's rights. */
#ifndef BASE_USER_H
#define BASE_USER_H

#include <sys/types.h>

#include "base/error.h"

/*
 * Becomes the user for good: groups, real, effective and saved ids, and no
 * set-user-id program gives anything back (no_new_privs).  That it cannot be
 * undone is tried.  For a process that is this user already, and not root,
 * only no_new_privs is set.
 *
 * Returns 0, or -1 with the reason; then the process may be half changed and
 * must end.  For all threads, so best called before there are any.
 */
int user_become(const char *name, uid_t uid, gid_t gid, struct error *err);

#endif
