/* SPDX-License-Identifier: ISC */
/*
 * The access rules of a listener: one cdb made by tcprules, opened again when
 * the file was replaced.
 */
#ifndef SMTP_RULES_H
#define SMTP_RULES_H

#include <stdbool.h>

#include "base/error.h"
#include "base/vars.h"

struct smtp_rules;

/*
 * A path of which nothing exists means that everybody may connect, unless the
 * file is_required.  Rules that were replaced may serve max_age_ms more, which
 * saves a look at the file for each connection.  NULL, with the reason, when
 * it cannot be read.
 */
struct smtp_rules *smtp_rules_new(
    const char *path, bool is_required, unsigned max_age_ms, struct error *err);
void smtp_rules_free(struct smtp_rules **rules);

/*
 * Looks for the address; what its rule sets goes into vars.  1 it may connect;
 * 0 it may not; -1 could not tell.  Any thread.
 */
int smtp_rules_check(struct smtp_rules *rules, const char *ip,
    struct vars *vars, struct error *err);
/* The same, and for the host's name, NULL when none is known. */
int smtp_rules_check_named(struct smtp_rules *rules, const char *ip,
    const char *host, struct vars *vars, struct error *err);

#endif
