/* SPDX-License-Identifier: ISC */
/* What domain.c and domain_remove.c share. */
#ifndef ADMINSRV_DOMAIN_PRIVATE_H
#define ADMINSRV_DOMAIN_PRIVATE_H

#include "adminsrv/domain.h"

/* The node's lock: a descriptor to close, or -1. */
int domain_lock(const struct home *home, struct error *err);

/* Has the running daemons read their files again. */
enum admin_result domain_tell(const struct home *home, struct error *err);

#endif
