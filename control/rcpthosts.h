/* SPDX-License-Identifier: ISC */
/* rcpthosts and morercpthosts.cdb: the domains that we take mail for. */
#ifndef CONTROL_RCPTHOSTS_H
#define CONTROL_RCPTHOSTS_H

#include "base/error.h"
#include "control/cluster_domains.h"
#include "control/settings.h"

/* Read-only after it is made; threads may share it. */
struct rcpthosts;

/*
 * From the rcpthosts setting and control/morercpthosts.cdb; a cdb that
 * qmail-newmrh makes later counts at once.  When the file rcpthosts is absent
 * every domain matches, as in qmail-smtpd.  NULL when the cdb cannot be read.
 */
struct rcpthosts *rcpthosts_new(const char *control_dir,
    const struct settings *settings, struct error *err);
void rcpthosts_free(struct rcpthosts **hosts);

/* From now on those of the cluster match, too; takes domains. */
void rcpthosts_add_cluster(
    struct rcpthosts *hosts, struct cluster_domains *domains);

/*
 * Does the domain of a mailbox match, in whatever spelling (control/idn.h), by
 * name or by a ".suffix" line?  An
 * address without '@' matches.  1 yes, 0 no, -1 could not tell.
 */
int rcpthosts_match(
    const struct rcpthosts *hosts, const char *mailbox, struct error *err);

/*
 * Compiles control/morercpthosts to morercpthosts.cdb, whose keys are the
 * lines in their one spelling (control/idn.h).  0, or -1 with errno and the
 * reason, and the old cdb stays.  On a bad line errno is EINVAL, the reason
 * ".../morercpthosts:LINE: what is wrong".
 */
int rcpthosts_compile_more(const char *control_dir, struct error *err);

#endif
