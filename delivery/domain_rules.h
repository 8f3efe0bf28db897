/* SPDX-License-Identifier: ISC */
/*
 * What the .qmail files of a virtual domain's folder say about an address,
 * remembered while the files do not change.  Used by one thread.
 */
#ifndef DELIVERY_DOMAIN_RULES_H
#define DELIVERY_DOMAIN_RULES_H

#include "base/error.h"
#include "delivery/dotqmail.h"

struct domain_rules;

struct domain_rules *domain_rules_new(void);
void domain_rules_free(struct domain_rules **rules);

/*
 * Begins a batch: within it a domain's .qmail-default is looked at once.
 */
void domain_rules_begin(struct domain_rules *rules);

/*
 * Looks for the file that qmail-local would use for the local part extension
 * in the domain's folder home: .qmail-EXTENSION, .qmail-...-default,
 * .qmail-default (the extension in lower case, its dots as colons).
 *
 * Returns 1 when that is .qmail-default with the standard line: *rule_out is
 * valid until the next call.  0 when it is anything else, or there is none:
 * the general way decides.  -1, with the reason, when it cannot be told.
 */
int domain_rules_find(struct domain_rules *rules, const char *home,
    const char *extension, const struct absent_rule **rule_out,
    struct error *err);

/*
 * Reads the .qmail-default of the domain's folder home, as a delivery does that
 * remembers nothing.  1 when it is the standard line, or other lines that can
 * be followed; 0 when it cannot, with the reason in *fault_out, or when there
 * is none (then the reason is empty); -1, with the reason in err, when it
 * cannot be told.
 */
int domain_rules_judge(
    const char *home, struct dotqmail_fault *fault_out, struct error *err);

#endif
