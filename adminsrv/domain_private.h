/* SPDX-License-Identifier: ISC */
/* What domain.c and domain_remove.c share. */
#ifndef ADMINSRV_DOMAIN_PRIVATE_H
#define ADMINSRV_DOMAIN_PRIVATE_H

#include "adminsrv/domain.h"
#include "adminsrv/node_lines.h"

/* A name, while nobody else changes domains of the node. */
struct domain_lock {
	int fd;
	struct node_state state; /* what the node's files say of it */
};

/*
 * Takes the node's lock and reads what is known of the name.  Refused for who
 * is neither root nor the owner of users/.  After ADMIN_OK the caller releases.
 */
enum admin_result domain_lock_take(const struct home *home, const char *domain,
    struct domain_lock *lock_out, struct error *err);
void domain_lock_release(struct domain_lock *lock);

#endif
