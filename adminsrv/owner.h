/* SPDX-License-Identifier: ISC */
/*
 * The owner of a domain's files.  Root becomes that owner for whatever it does
 * inside a domain's folder: files get the right owner at once, and a link that
 * the owner put there leads root nowhere.
 */
#ifndef ADMINSRV_OWNER_H
#define ADMINSRV_OWNER_H

#include <sys/types.h>

#include "adminsrv/result.h"
#include "base/error.h"

/*
 * Root: acts as uid and gid until owner_leave().  Anybody else must be uid;
 * else refused, with a text that names whom to be.
 */
enum admin_result owner_enter(uid_t uid, gid_t gid, struct error *err);

/* Root again, if it was; ends the process if that fails. */
void owner_leave(void);

#endif
