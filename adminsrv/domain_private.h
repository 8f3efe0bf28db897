/* SPDX-License-Identifier: ISC */
/* What domain.c, domain_remove.c and domain_cluster.c share. */
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

struct identity;
struct users;

/* Makes a domain's folder, its owner's.  *owner_out: who that is. */
enum admin_result domain_make_dir(const struct home *home, const char *dir,
    struct identity *owner_out, struct error *err);
/* Its .qmail-default; catch_all NULL: absent users bounce.  0 or -1. */
int domain_write_default(
    const char *dir, const char *catch_all, struct error *err);
/* Adds the postmaster, or gives him the password. */
enum admin_result domain_put_postmaster(struct users *users,
    const struct domain_options *options, struct error *err);

#endif
