/* SPDX-License-Identifier: ISC */
/*
 * What an opened domain (adminsrv/users.h) has beside its users: aliases,
 * limits and filters, in the same store.
 *
 * Of files that is what lookupd/domain_files.h reads: .qmail-NAME and
 * .domain_limits in the domain's folder, .limits and .vfilter in a user's.
 * Lookups: 1, 0 or -1.  A change is one durable step.
 */
#ifndef ADMINSRV_RECORDS_H
#define ADMINSRV_RECORDS_H

#include <stddef.h>

#include "adminsrv/result.h"
#include "adminsrv/users.h"
#include "base/error.h"
#include "base/strlist.h"
#include "lookupd/store.h"

/* The caller releases the lists. */
int records_find_alias(struct users *users, const char *name,
    struct strlist *lines, struct error *err);
/* In the order of names.  0 or -1. */
int records_alias_names(
    struct users *users, struct strlist *names, struct error *err);
/* Makes the alias these lines; of none: removes it. */
enum admin_result records_put_alias(struct users *users, const char *name,
    const struct strlist *lines, struct error *err);

/* name NULL: the domain's own. */
int records_find_limits(struct users *users, const char *name,
    struct store_limits *limits_out, struct error *err);
/* limits NULL: there are none any more. */
enum admin_result records_put_limits(struct users *users, const char *name,
    const struct store_limits *limits, struct error *err);

/*
 * Adds the users who have limits or filters; in no order, and some twice.
 * Users are gone through.  0 or -1.
 */
int records_owner_names(
    struct users *users, struct strlist *names, struct error *err);

/* The caller releases what was found. */
int records_find_filters(struct users *users, const char *name,
    struct store_filters *filters_out, struct error *err);
/* All of a user, in the order of their numbers. */
enum admin_result records_put_filters(struct users *users, const char *name,
    const struct store_filter *filters, size_t count, struct error *err);

#endif
