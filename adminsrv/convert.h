/* SPDX-License-Identifier: ISC */
/* Users copied from one store to the other. */
#ifndef ADMINSRV_CONVERT_H
#define ADMINSRV_CONVERT_H

#include <stddef.h>

#include "adminsrv/progress.h"
#include "adminsrv/users.h"
#include "base/strlist.h"
#include "control/home.h"

/* The node's virtual domains, alias domains left out, sorted.  0 or -1. */
int convert_domains(
    const struct home *home, struct strlist *domains_out, struct error *err);

/* What became of one domain. */
struct convert_result {
	size_t copied;
	size_t others; /* only in the store that was copied to; they stay */
};

/*
 * Copies a domain's users, aliases, limits, filters and alias domains from the other store into to
 * (USERS_CDB or USERS_PGSQL); who is there gets what the other store says.  May
 * be done again at any time: what a killed run left is no hindrance.
 */
enum admin_result convert_domain(const struct home *home, const char *domain,
    enum users_store to, struct progress *progress,
    struct convert_result *result_out, struct error *err);

#endif
