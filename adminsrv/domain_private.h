/* SPDX-License-Identifier: ISC */
/* What domain.c and domain_remove.c share. */
#ifndef ADMINSRV_DOMAIN_PRIVATE_H
#define ADMINSRV_DOMAIN_PRIVATE_H

#include "adminsrv/domain.h"

/*
 * The node's lock: a descriptor to close.  Refused for who is neither root nor
 * the owner of users/; *fd_out is -1 unless the result is ADMIN_OK.
 */
enum admin_result domain_lock(
    const struct home *home, int *fd_out, struct error *err);

/* Has the running daemons read their files again. */
enum admin_result domain_tell(const struct home *home, struct error *err);

#endif
