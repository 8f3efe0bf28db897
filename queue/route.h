/* SPDX-License-Identifier: ISC */
/*
 * Which recipients are local and which remote, and how their addresses are
 * rewritten: locals, virtualdomains, percenthack, envnoathost (qmail-send(8)).
 * A domain of the cluster is as a line DOMAIN:DOMAIN of virtualdomains.
 */
#ifndef QUEUE_ROUTE_H
#define QUEUE_ROUTE_H

#include "base/buf.h"
#include "base/error.h"
#include "control/cluster_domains.h"
#include "control/settings.h"

enum route_channel { ROUTE_LOCAL, ROUTE_REMOTE, ROUTE_CHANNEL_COUNT };

/* Read-only after it is made. */
struct route;

/* Copies what it needs.  NULL with the reason on a line that is no rule. */
struct route *route_new(const struct settings *settings, struct error *err);
void route_free(struct route **route);

/*
 * From now on those of the cluster are local, too; takes domains.  0; -1 with
 * the reason when they cannot be read.
 */
int route_add_cluster(struct route *route, struct cluster_domains *domains,
    struct error *err);

/*
 * Can a line of virtualdomains be meant so?  It counts as it stands in any
 * case, as it did in qmail.  0; -1 with the reason when its key is no domain or
 * mailbox, or its prefix has '/', '@' or ':'.
 */
int route_judge_rule(const char *line, struct error *err);

/*
 * Puts the rewritten address, with its NUL, behind what buf holds, and returns
 * the channel.
 */
enum route_channel route_rewrite(
    const struct route *route, const char *recipient, struct buf *buf);

/*
 * The recipient as the sender knew it: without the prefix that a virtual domain
 * put in front.  Points into address.
 */
const char *route_strip(const struct route *route, const char *address);

#endif
