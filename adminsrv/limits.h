/* SPDX-License-Identifier: ISC */
/* The limits of a domain (vlimit), where they are to be kept. */
#ifndef ADMINSRV_LIMITS_H
#define ADMINSRV_LIMITS_H

#include <stddef.h>

#include "adminsrv/result.h"
#include "adminsrv/users.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/strlist.h"

/* May so many users be added?  Each domain has its postmaster in any case. */
enum admin_result limits_check_accounts(struct users *users,
    const struct users_new *new, size_t count, struct error *err);

/*
 * The quota of new users by the domain's limits, as quota_text_read() gives it;
 * "" when they say nothing.  0 or -1.
 */
int limits_default_quota(
    struct users *users, struct buf *quota_out, struct error *err);

/*
 * May the alias get these lines?  One with an address of another domain counts
 * as a forward, any other as an alias.
 */
enum admin_result limits_check_alias(struct users *users, const char *name,
    const struct strlist *lines, struct error *err);

#endif
