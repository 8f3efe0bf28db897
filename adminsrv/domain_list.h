/* SPDX-License-Identifier: ISC */
/* The virtual domains of a node, one after the other. */
#ifndef ADMINSRV_DOMAIN_LIST_H
#define ADMINSRV_DOMAIN_LIST_H

#include "adminsrv/result.h"
#include "adminsrv/users.h"
#include "base/error.h"
#include "base/strlist.h"
#include "control/home.h"

/* The real ones of users/assign, in its order.  0 or -1. */
int domain_list(
    const struct home *home, struct strlist *domains, struct error *err);

/* Calls act for each; ends with the first that is not ADMIN_OK. */
enum admin_result domain_list_each(const struct home *home,
    enum admin_result (*act)(
	const struct users_at *at, void *context, struct error *err),
    void *context, struct error *err);

/* The same for one, by its name or an alias's. */
enum admin_result domain_list_one(const struct home *home, const char *domain,
    enum admin_result (*act)(
	const struct users_at *at, void *context, struct error *err),
    void *context, struct error *err);

#endif
