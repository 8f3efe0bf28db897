/* SPDX-License-Identifier: ISC */
/*
 * What the Maildirs of a domain may hold in all (diskquota and maxmsgcount of
 * its limits).
 *
 * A thread looks at the limits once a minute, and, where there are some, adds
 * up what the domain's Maildirs say that they hold: at most each five minutes,
 * and in a fiftieth of the time.  What is delivered meanwhile is added.  Until
 * the first count is done everything fits.  For one owner's thread.
 */
#ifndef DELIVERY_DOMAIN_QUOTA_H
#define DELIVERY_DOMAIN_QUOTA_H

#include <stdbool.h>

#include "lookupd/store.h"
#include "mailbox/quota.h"

struct domain_quotas;

struct domain_quotas *domain_quotas_new(struct store *store, int wake_fd);
void domain_quotas_free(struct domain_quotas **quotas);
/* Takes over what the thread has found. */
void domain_quotas_reap(struct domain_quotas *quotas);

/*
 * Does a message fit?  If not, what the domain holds and may hold.  domain and
 * its folder home are as in users/assign.
 */
bool domain_quota_fits(struct domain_quotas *quotas, const char *domain,
    const char *home, const struct quota_usage *added,
    struct quota_usage *usage_out, struct quota *quota_out);
/* It was delivered. */
void domain_quota_add(struct domain_quotas *quotas, const char *home,
    const struct quota_usage *added);

/* Adds up the Maildirs below a domain's folder.  0, or -1 with the reason. */
int domain_quota_count(
    const char *home, struct quota_usage *usage_out, struct error *err);

#endif
