/* SPDX-License-Identifier: ISC */
/* What a virtual domain's .qmail files say about mail to unknown users. */
#ifndef SMTP_DOMAIN_RULE_H
#define SMTP_DOMAIN_RULE_H

#include <stdbool.h>

#include "base/error.h"

/*
 * Has the domain whose folder is dir a .qmail file that covers local:
 * .qmail-LOCAL or .qmail-PART-default, in lower case, dots as colons?  1, 0, or
 * -1 could not tell.
 */
int smtp_domain_rule_has_file(
    const char *dir, const char *local, struct error *err);

/*
 * Does the domain take mail for local, which is no user?  True when a .qmail
 * file of its own covers it, when .qmail-default is
 * anything but vdelivermail with bounce-no-mailbox, and when it cannot be
 * told.  False is certain: that mail would bounce.
 */
bool smtp_domain_rule_takes(const char *dir, const char *local);

#endif
