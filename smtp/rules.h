/* SPDX-License-Identifier: ISC */
/*
 * The access rules of a listener: one cdb made by tcprules, opened again when
 * the file was replaced, so that new rules hold for the next connection.
 */
#ifndef SMTP_RULES_H
#define SMTP_RULES_H

#include <stdbool.h>

#include "base/error.h"
#include "base/vars.h"

struct smtp_rules;

/*
 * A path of which nothing exists means that everybody may connect, unless the
 * file is_required.  NULL, with the reason, when it cannot be read.
 */
struct smtp_rules *smtp_rules_new(
    const char *path, bool is_required, struct error *err);
void smtp_rules_free(struct smtp_rules **rules);

/*
 * Looks for the address; what its rule sets goes into vars.  1 it may connect;
 * 0 it may not; -1 could not tell.  Any thread.
 */
int smtp_rules_check(struct smtp_rules *rules, const char *ip,
    struct vars *vars, struct error *err);

#endif
